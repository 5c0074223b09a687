# SPDX-License-Identifier: Apache-2.0
"""The listing of a folder is the same whoever makes it, and whenever it was begun."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

from mmar_runner.errors import MmarUnreadableError
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files, listed_ahead
from mmar_runner.security.listing import FileKind, HashedFile, ListedFile
from mmar_runner.testing.builders import MmarBuilder

MIB = 1 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """An MMAR that is worth threads, with files at the edges of what is read at once."""
    job = MmarBuilder("job")
    for size in (0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB):
        job.file(f"models/of_{size}.pt", bytes([size % 251]) * size)
    return job.write(tmp_path)


def test_every_file_is_listed_with_its_size_and_hash(large: Path) -> None:
    for file in list_files(open_folder(large, Findings())).files:
        data = (large / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(data), sha256(data).hexdigest())


def test_what_is_known_of_a_file_is_believed_only_if_it_is_there_in_that_size(
    large: Path,
) -> None:
    folder, one, other = open_folder(large, Findings()), "models/of_1.pt", f"models/of_{MIB}.pt"
    known = {one: HashedFile(1, "a" * 64), other: HashedFile(2, "b" * 64)}
    known["gone"] = HashedFile(1, "c" * 64)
    listing = list_files(folder, known)
    usual = list_files(folder)
    assert [file.path for file in listing.files] == [file.path for file in usual.files]
    assert [file for file in listing.files if file not in usual.files] == [
        ListedFile(one, 1, "a" * 64, FileKind.DATA)
    ]


def test_a_listing_that_was_begun_before_is_the_same(large: Path) -> None:
    usual = sys.getswitchinterval()
    with listed_ahead(large) as ahead:
        assert ahead is not None
        assert ahead.result(timeout=30) == list_files(open_folder(large, Findings()))
    assert sys.getswitchinterval() == usual


def test_where_no_mmar_is_the_one_who_looks_at_it_says_so(tmp_path: Path) -> None:
    with listed_ahead(tmp_path / "nowhere") as ahead:
        assert ahead is None
        with pytest.raises(MmarUnreadableError, match="nowhere"):
            open_folder(tmp_path / "nowhere", Findings())
