# SPDX-License-Identifier: Apache-2.0
"""Packages that are honest come out as they went in, and leave nothing of a refusal."""

from __future__ import annotations

import io
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmar_runner.errors import PackageError, StorageError
from mmar_runner.security.packages import names as package_names
from mmar_runner.security.packages import sink as package_sink
from mmar_runner.security.packages import zip as package_zip
from mmar_runner.security.packages.packing import pack, unpack
from tests.unit.security.packages.makers import (
    MAKERS,
    SMALL,
    Entry,
    contents,
    of_every_kind,
    refusal,
    unpacked,
    zipped,
)

HONEST = (("config/a.json", b"{}"), ("models/w.bin", bytes(range(256)) * 9), ("ü/é.txt", b""))


@of_every_kind
def test_an_honest_package_comes_out_as_it_went_in(
    make: Callable[..., bytes], tmp_path: Path
) -> None:
    assert unpacked(make(*HONEST), tmp_path) == dict(HONEST)


def test_packing_the_same_files_gives_the_same_bytes_and_they_come_out_again(
    tmp_path: Path,
) -> None:
    for name, order in (("one", HONEST), ("two", tuple(reversed(HONEST)))):
        for path, content in order:
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
    first = pack(tmp_path / "one", tmp_path / "one.zip")
    second = pack(tmp_path / "two", tmp_path / "two.zip")
    assert (first.sha256, first.size) == (second.sha256, second.size)
    assert first.size == first.path.stat().st_size
    unpack(first.path, tmp_path / "out")
    assert contents(tmp_path / "out") == dict(HONEST)
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two", "one.zip", "two.zip", "out"}


def test_what_was_unpacked_runs_with_nobodys_rights(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("run.sh")
    info.external_attr = (stat.S_IFREG | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"#!/bin/sh\n")
    unpacked(buffer.getvalue(), tmp_path)
    assert (tmp_path / "to" / "run.sh").stat().st_mode & 0o777 == 0o600


def test_a_package_of_a_folder_with_a_link_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError) as caught:
        pack(tmp_path / "m", tmp_path / "m.zip")
    assert caught.value.reason == "UNSAFE_ENTRY"
    assert {path.name for path in tmp_path.iterdir()} == {"m"}


def test_a_package_is_never_written_through_a_link_that_lies_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"1")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".m.zip.tmp").symlink_to(tmp_path / "mine")
    unpack(pack(tmp_path / "m", tmp_path / "m.zip").path, tmp_path / "out")
    assert contents(tmp_path / "out") == {"a": b"1"}
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "m.zip").is_symlink()


def test_a_package_that_cannot_be_begun_is_a_fault_of_storage(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / ".m.zip.tmp").mkdir()
    with pytest.raises(StorageError):
        pack(tmp_path / "m", tmp_path / "m.zip")


def test_a_destination_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    with pytest.raises(StorageError, match="is there already"):
        unpacked(zipped(("a", b"")), tmp_path)
    assert contents(tmp_path / "to") == {}


def mutated(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        position = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[position] = chance.randrange(256)
            case 1:
                del changed[position : position + chance.randint(1, 40)]
            case 2:
                changed[position:position] = chance.randbytes(chance.randint(1, 40))
            case _:
                changed[position : position + 1] = chance.choice([b"/", b"..", b"\0", b"\xff" * 4])
        changed = changed or bytearray(1)
    return bytes(changed)


ANY_NAME = st.lists(st.sampled_from(["..", ".", "", "a", "A", "b", "C:", "\\", "\n"]), max_size=4)
ANY_ENTRIES = st.lists(st.tuples(ANY_NAME.map("/".join), st.binary(max_size=64)), max_size=5)
SEEDS = st.integers(0, 2**32)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=ANY_ENTRIES, make=st.sampled_from(list(MAKERS.values())), seed=SEEDS)
@example(entries=[("../x", b"out")], make=zipped, seed=0)
def test_whatever_the_bytes_nothing_is_written_outside_and_nothing_remains_of_a_refusal(
    entries: list[Entry],
    make: Callable[..., bytes],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole = make(*entries)
    for data in (whole, mutated(whole, seed)):
        around = tmp_path_factory.mktemp("around")
        (around / "package").write_bytes(data)
        try:
            unpack(around / "package", around / "deep" / ".." / "to", SMALL)
        except (PackageError, StorageError):
            expected = {"package"}
        else:
            expected = {"package", "to"}
        assert {path.name for path in around.iterdir()} <= expected


def test_without_the_guard_of_names_the_attack_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_names, "_problem", lambda name, depth: None)
    unpacked(zipped(("../outside", b"out")), tmp_path)
    assert (tmp_path / "outside").read_bytes() == b"out"


def test_without_the_guard_of_kinds_the_attack_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    monkeypatch.setattr(package_zip, "require_plain", lambda name, mode: None)
    # Even then it becomes a file with the link's text, never a link.
    assert unpacked(buffer.getvalue(), tmp_path) == {"link": b"/etc/passwd"}


def test_without_the_count_of_bytes_a_bomb_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zipped(("bomb", bytes(2 << 20)), method=zipfile.ZIP_DEFLATED)
    assert refusal(bomb, tmp_path) == "TOO_LARGE"
    monkeypatch.setattr(package_sink.Sink, "_counted", lambda self, name, blocks: blocks)
    assert len(unpacked(bomb, tmp_path)["bomb"]) == 2 << 20
