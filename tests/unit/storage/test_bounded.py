# SPDX-License-Identifier: Apache-2.0
"""A file that somebody else wrote is read so far and no further."""

import os
from pathlib import Path

import pytest

from mmar_runner.storage.bounded import read_bounded


@pytest.mark.parametrize("size", [0, 9, 10])
def test_a_short_file_is_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    assert read_bounded(tmp_path / "a", 10) == b"x" * size


def test_a_long_file_is_known_by_one_byte_too_many(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert read_bounded(tmp_path / "a", 10) == b"x" * 11


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(tmp_path / "a", 10)


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/")])
def test_what_has_no_end_or_no_bytes_is_refused(path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(path, 10)


def test_a_judge_sees_the_file_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "a").chmod(0o640)

    def judge(status: os.stat_result) -> None:
        raise ValueError(oct(status.st_mode & 0o777))

    with pytest.raises(ValueError, match="0o640"):
        read_bounded(tmp_path / "a", 10, judge=judge)
