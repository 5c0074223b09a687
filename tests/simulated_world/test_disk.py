# SPDX-License-Identifier: Apache-2.0
"""The simulated disk keeps what was synced, whatever happens, and of the rest what chance likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmar_runner.errors import DiskFullError
from mmar_runner.storage.atomic import publish, write_bytes_atomic
from tests.simulated_world.disk import Disk
from tests.simulated_world.os_calls import OsCalls
from tests.simulated_world.process import Deaths, Process
from tests.simulated_world.world import World

_OLD, _NEW = b"old bytes", b"the new bytes, which are more"


def _what_survives(tmp_path: Path, work: Callable[[Path], None]) -> Counter[bytes | None]:
    """Return what is found in ``file``, and how often, after power cuts behind some work."""
    found: Counter[bytes | None] = Counter()
    for seed in range(60):
        root = tmp_path / str(seed)
        root.mkdir()
        file = root / "file"
        file.write_bytes(_OLD)
        world = World(seed)
        disk = Disk(world, root, can_lose=True)

        async def main(file: Path = file) -> None:
            work(file)

        with OsCalls(world).installed():
            process = Process(world, "process", disk, Deaths(), main, lambda _: None)
            process.step()
            process.power_cut = True
            world.end()
        found[file.read_bytes() if file.exists() else None] += 1
    return found


def test_what_was_synced_with_its_name_is_there(tmp_path: Path) -> None:
    found = _what_survives(tmp_path, lambda file: write_bytes_atomic(file, _NEW, durable=True))
    assert set(found) == {_NEW}


def test_what_was_not_synced_is_there_torn_or_lost(tmp_path: Path) -> None:
    found = _what_survives(tmp_path, lambda file: write_bytes_atomic(file, _NEW))
    assert {_OLD, _NEW, b""} < set(found), "the old file, the new one, and its name without bytes"
    assert any(content not in {_OLD, _NEW, b"", None} for content in found), "or torn"


def test_a_name_that_was_not_synced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    def rename_what_is_synced(file: Path) -> None:
        other = file.with_name("other")
        write_bytes_atomic(other, _NEW, durable=True)
        publish(other, file, durable=False)

    assert set(_what_survives(tmp_path, rename_what_is_synced)) == {_OLD, _NEW}


def test_what_was_removed_without_a_sync_may_come_back(tmp_path: Path) -> None:
    assert set(_what_survives(tmp_path, Path.unlink)) == {_OLD, None}


def test_a_full_disk_takes_a_part_or_nothing_and_says_so(tmp_path: Path) -> None:
    world = World(1)
    disk = Disk(world, tmp_path, can_lose=False)
    disk.full_until = 1.0
    refused = []

    async def main() -> None:
        try:
            write_bytes_atomic(tmp_path / "file", _NEW)
        except DiskFullError as error:
            refused.append(error)

    with OsCalls(world).installed():
        Process(world, "process", disk, Deaths(), main, lambda _: None).step()
        world.end()
    assert refused
    assert not (tmp_path / "file").exists()
