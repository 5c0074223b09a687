# SPDX-License-Identifier: Apache-2.0
"""A package that is never written down is one that anybody can unpack, from any byte on."""

from __future__ import annotations

import io
import os
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from mmar_runner.errors import PackageError, StorageError
from mmar_runner.security.listing import HashedFile
from mmar_runner.security.packages.folder_package import FolderPackage, packed_in_place
from mmar_runner.security.packages.packing import PackageLimits, pack, unpack
from mmar_runner.security.packages.unpacking import unpack_hashed
from tests.unit.security.packages.makers import contents

FILES = {
    "config/a.json": b"{}",
    "models/empty": b"",
    "models/w.bin": os.urandom((1 << 20) + 4097),
    "ü/é.txt": b"x" * 70_000,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "study"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def whole(package: FolderPackage, *, offset: int = 0, size: int = 100_000) -> bytes:
    with package.open(offset) as reader:
        return b"".join(iter(lambda: bytes(reader.read(size)), b""))


def test_its_bytes_are_those_that_were_announced_and_everybody_unpacks_them(
    folder: Path, tmp_path: Path
) -> None:
    package = packed_in_place(folder)
    data = whole(package)
    assert (len(data), sha256(data).hexdigest()) == (package.size, package.sha256)
    (tmp_path / "p.zip").write_bytes(data)
    unpack(tmp_path / "p.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    with ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_the_same_files_are_the_same_package_wherever_they_lie(
    folder: Path, tmp_path: Path
) -> None:
    for name, data in reversed(FILES.items()):
        (tmp_path / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / name).write_bytes(data)
    assert packed_in_place(folder).sha256 == packed_in_place(tmp_path / "other").sha256


@pytest.mark.parametrize("size", [1, 7, 4096, 3 << 20])
def test_it_is_read_from_any_byte_on(folder: Path, size: int) -> None:
    package = packed_in_place(folder)
    data = whole(package)
    starts = [part.start for part in package.parts]
    edges = {edge + by for edge in (*starts, package.size) for by in (-1, 0, 1)}
    for offset in sorted(edge for edge in edges if 0 <= edge <= package.size):
        with package.open(offset) as reader:
            expected = data[offset : offset + size]
            assert reader.read(size) == expected
    assert whole(package, offset=starts[2], size=max(size, 4096)) == data[starts[2] :]


@pytest.mark.parametrize("change", ["written", "shorter", "replaced", "longer"])
def test_a_file_that_has_changed_is_not_sent(folder: Path, change: str) -> None:
    package = packed_in_place(folder)
    path = folder / "models" / "w.bin"
    data = path.read_bytes()
    if change == "replaced":
        path.rename(folder.parent / "aside")
        path.write_bytes(data)
    else:
        path.write_bytes(
            {"written": data[::-1], "shorter": data[:-5], "longer": data + b"1"}[change]
        )
    with pytest.raises(StorageError, match=r"w\.bin has changed"):
        whole(package)


def test_a_file_that_changes_while_it_is_read_is_not_sent_to_its_end(folder: Path) -> None:
    package = packed_in_place(folder)
    path = folder / "models" / "w.bin"
    start = next(part.start for part in package.parts if part.size > 1 << 20)
    with package.open(start) as reader:
        reader.read(1000)
        path.write_bytes(bytes(path.stat().st_size))
        with pytest.raises(StorageError, match="has changed"):
            reader.read(1000)


def test_a_file_that_is_gone_is_said_to_be(folder: Path) -> None:
    package = packed_in_place(folder)
    (folder / "config" / "a.json").unlink()
    with pytest.raises(StorageError, match=r"a\.json"):
        whole(package)


def test_what_cannot_be_unpacked_is_not_packed(folder: Path) -> None:
    with pytest.raises(PackageError) as caught:
        packed_in_place(folder, PackageLimits(entries=3))
    assert caught.value.reason == "TOO_LARGE"
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError) as caught:
        packed_in_place(folder)
    assert caught.value.reason == "UNSAFE_ENTRY"


@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_unpacked_is_hashed_on_the_way(
    folder: Path, tmp_path: Path, in_place: bool
) -> None:
    package = tmp_path / "p.zip"
    if in_place:
        package.write_bytes(whole(packed_in_place(folder)))
    else:
        pack(folder, package)
    hashed = unpack_hashed(package, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert hashed == {
        name: HashedFile(len(data), sha256(data).hexdigest()) for name, data in FILES.items()
    }


def test_nothing_is_left_of_a_package_that_turns_out_to_be_damaged(
    folder: Path, tmp_path: Path
) -> None:
    data = bytearray(whole(packed_in_place(folder)))
    data[data.index(b"x" * 70_000)] ^= 1
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(PackageError) as caught:
        unpack_hashed(tmp_path / "p.zip", tmp_path / "out")
    assert caught.value.reason == "FORMAT"
    assert {path.name for path in tmp_path.iterdir()} == {"study", "p.zip"}
