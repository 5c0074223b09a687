# SPDX-License-Identifier: Apache-2.0
"""A version is never forgotten, and never replaced by a lower one."""

import threading
from pathlib import Path

import pytest

from mmar_runner.errors import KitError
from mmar_runner.security.signatures.version_memory import VersionMemory


def test_the_highest_version_is_kept_for_every_project_and_name(tmp_path: Path) -> None:
    path = tmp_path / "state" / "versions.json"
    memory = VersionMemory(path)
    assert memory.known() == {}
    memory.remember("demo", "spleen", 3)
    memory.remember("demo", "spleen", 2)
    memory.remember("demo", "liver", 1)
    memory.remember("other", "spleen", 9)
    again = VersionMemory(path).known()
    assert again == {("demo", "spleen"): 3, ("demo", "liver"): 1, ("other", "spleen"): 9}


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"demo": 3}', '{"demo": {"spleen": "3"}}', '{"demo": {"s": true}}']
)
def test_a_damaged_memory_is_not_taken_for_an_empty_one(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "versions.json"
    path.write_text(damage)
    memory = VersionMemory(path)
    with pytest.raises(KitError) as refused:
        memory.known()
    assert refused.value.reason == "STATE_DAMAGED"
    with pytest.raises(KitError):
        memory.remember("demo", "spleen", 1)
    assert path.read_text() == damage


def test_versions_remembered_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "versions.json"

    def remember(index: int) -> None:
        VersionMemory(path).remember("demo", f"mmar-{index}", index + 1)

    threads = [threading.Thread(target=remember, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(VersionMemory(path).known()) == 8
