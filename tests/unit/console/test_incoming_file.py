# SPDX-License-Identifier: Apache-2.0
"""A file that is fetched: resumed, checked, in its place only once it is whole."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.console.incoming_file import IncomingFile
from mmar_runner.errors import (
    DigestError,
    ProtocolError,
    StorageError,
    UnreachableError,
    UsageError,
)
from mmar_runner.wire.messages import DownloadHeader

DATA = b"abcdefghij"


def header(data: bytes = DATA, name: str = "final", offset: int = 0) -> DownloadHeader:
    digest = sha256(data).hexdigest()
    return DownloadHeader(name=name, total_bytes=len(data), sha256=digest, offset=offset)


def test_what_is_whole_has_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path / "out", "run_1/models/final")
    file.begin(header())
    file.write(DATA[:4])
    assert not (tmp_path / "out" / "final").exists()
    file.write(DATA[4:])
    file.check()
    assert file.finish() == tmp_path / "out" / "final"
    file.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["final"]
    assert (tmp_path / "out" / "final").read_bytes() == DATA


def test_whoever_was_killed_goes_on(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path, "run_1/final")
    file.begin(header())
    file.write(DATA[:4])
    again = IncomingFile(tmp_path, "run_1/final")
    assert (again.offset, again.sha256) == (4, sha256(DATA).hexdigest())
    again.begin(header(offset=4))
    again.write(DATA[4:])
    again.check()
    assert again.finish().read_bytes() == DATA
    assert IncomingFile(tmp_path, "run_2/final").offset == 0


def test_another_file_of_the_server_begins_anew(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path, "run_1/final")
    file.begin(header())
    file.write(DATA[:4])
    file.begin(header(b"other"))
    assert file.offset == 0


def test_what_arrives_damaged_is_asked_for_anew_and_not_for_ever(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path, "run_1/final")
    for error in (UnreachableError, UnreachableError, DigestError):
        file.begin(header())
        file.write(b"x" * len(DATA))
        with pytest.raises(error):
            file.check()
        assert file.offset == 0
    file.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["passwd", "../final", "final.sh", ""])
def test_the_server_does_not_choose_the_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProtocolError):
        IncomingFile(tmp_path, "run_1/final").begin(header(name=name))


def test_more_than_was_announced_is_refused(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path, "run_1/final")
    file.begin(header())
    with pytest.raises(ProtocolError):
        file.write(DATA + b"x")
    with pytest.raises(ProtocolError):
        IncomingFile(tmp_path, "run_1/final").begin(header(offset=3))


def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "final").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="no plain file"):
        IncomingFile(tmp_path, "run_1/final").begin(header())


@pytest.mark.parametrize("path", ["", "/", "run_1/..", "run_1/a\n"])
def test_a_path_without_a_name_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError):
        IncomingFile(tmp_path, path)
