# SPDX-License-Identifier: Apache-2.0
"""A version is never forgotten, and never replaced by a lower one."""

import threading
from pathlib import Path

import pytest

from mmar_runner.errors import KitError
from mmar_runner.security.signatures.context import SeenVersion
from mmar_runner.security.signatures.version_memory import VersionMemory


def test_the_highest_version_is_kept_for_every_project_and_name(tmp_path: Path) -> None:
    path = tmp_path / "kit" / "state" / "versions.json"
    memory = VersionMemory(path)
    assert memory.known() == {}
    memory.remember("demo", "spleen", SeenVersion(3, "a"))
    memory.remember("demo", "spleen", SeenVersion(2, "b"))
    memory.remember("demo", "liver", SeenVersion(1, "c"))
    memory.remember("other", "spleen", SeenVersion(9, "d"))
    again = VersionMemory(path).known()
    assert again == {
        ("demo", "spleen"): SeenVersion(3, "a"),
        ("demo", "liver"): SeenVersion(1, "c"),
        ("other", "spleen"): SeenVersion(9, "d"),
    }


def test_who_had_a_version_first_keeps_it(tmp_path: Path) -> None:
    memory = VersionMemory(tmp_path / "versions.json")
    memory.remember("demo", "spleen", SeenVersion(3, "a"))
    memory.remember("demo", "spleen", SeenVersion(3, "b"))
    assert memory.known() == {("demo", "spleen"): SeenVersion(3, "a")}


def test_a_memory_of_numbers_alone_is_understood_and_learns_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "versions.json"
    path.write_text('{"demo": {"spleen": 3}}')
    memory = VersionMemory(path)
    assert memory.known() == {("demo", "spleen"): SeenVersion(3)}
    memory.remember("demo", "spleen", SeenVersion(3, "a"))
    assert memory.known() == {("demo", "spleen"): SeenVersion(3, "a")}


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{", "[]", '{"demo": 3}', '{"demo": {"spleen": "3"}}', '{"demo": {"s": true}}'),
        *('{"demo": {"s": 3}, "demo": {}}', "[" * 100_000),
        *('{"demo": {"s": {"version": 3}}}', '{"demo": {"s": {"version": 3, "digest": 1}}}'),
    ],
)
def test_a_damaged_memory_is_not_taken_for_an_empty_one(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "versions.json"
    path.write_text(damage)
    memory = VersionMemory(path)
    with pytest.raises(KitError) as refused:
        memory.known()
    assert refused.value.reason == "STATE_DAMAGED"
    with pytest.raises(KitError):
        memory.remember("demo", "spleen", SeenVersion(1))
    assert path.read_text() == damage


def test_versions_remembered_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "versions.json"

    def remember(index: int) -> None:
        VersionMemory(path).remember("demo", f"mmar-{index}", SeenVersion(index + 1))

    threads = [threading.Thread(target=remember, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(VersionMemory(path).known()) == 8


def test_a_memory_that_is_a_folder_is_told_with_its_mend(tmp_path: Path) -> None:
    (tmp_path / "versions.json").mkdir()
    with pytest.raises(KitError, match="is damaged") as refused:
        VersionMemory(tmp_path / "versions.json").known()
    assert refused.value.reason == "STATE_DAMAGED"
    assert refused.value.hint
