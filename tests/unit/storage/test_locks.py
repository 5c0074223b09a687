# SPDX-License-Identifier: Apache-2.0
"""A lock keeps others out, and is no way into another file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmar_runner.errors import StorageError
from mmar_runner.storage.locks import locked


def test_nobody_comes_between_reading_and_writing(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count(_: int) -> None:
        with locked(tmp_path / "lock"):
            counter.write_text(str(int(counter.read_text()) + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(200)))
    assert counter.read_text() == "200"
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    with locked(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "pipe", "folder"])
def test_what_was_planted_for_a_lock_is_not_taken(tmp_path: Path, kind: str) -> None:
    victim, path = tmp_path / "victim", tmp_path / "lock"
    victim.write_bytes(b"precious")
    plant = {
        "symlink": lambda: path.symlink_to(victim),
        "dangling": lambda: path.symlink_to(tmp_path / "made"),
        "hard link": lambda: path.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    plant[kind]()
    with pytest.raises(StorageError, match="lock: "), locked(path):
        pass
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "made").exists()
