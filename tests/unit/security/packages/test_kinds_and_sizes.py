# SPDX-License-Identifier: Apache-2.0
"""What may be in a package: plain files, and no more than is allowed."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mmar_runner.security.packages.packing import PackageLimits
from tests.unit.security.packages.makers import (
    SMALL,
    central_header,
    contents,
    of_every_kind,
    refusal,
    tarred,
    unpacked,
    zip_header,
    zipped,
)

MODES = {
    "symbolic link": stat.S_IFLNK | 0o777,
    "pipe": stat.S_IFIFO | 0o644,
    "character device": stat.S_IFCHR | 0o644,
    "block device": stat.S_IFBLK | 0o644,
    "socket": stat.S_IFSOCK | 0o644,
    "setuid": stat.S_IFREG | stat.S_ISUID | 0o755,
    "setgid": stat.S_IFREG | stat.S_ISGID | 0o755,
    "sticky": stat.S_IFREG | stat.S_ISVTX | 0o755,
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
def test_a_zip_entry_that_is_no_plain_file_is_refused(mode: int, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("entry")
    info.external_attr = mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    assert refusal(buffer.getvalue(), tmp_path) == "UNSAFE_ENTRY"


def special(kind: bytes, mode: int = 0o644) -> bytes:
    info = tarfile.TarInfo("entry")
    info.type, info.linkname, info.mode = kind, "/etc/passwd", mode
    return info.tobuf() + bytes(1024)


KINDS = {
    "hard link": special(tarfile.LNKTYPE),
    "symbolic link": special(tarfile.SYMTYPE),
    "character device": special(tarfile.CHRTYPE),
    "block device": special(tarfile.BLKTYPE),
    "pipe": special(tarfile.FIFOTYPE),
    "sparse": special(tarfile.GNUTYPE_SPARSE),
    "unknown": special(b"Z"),
    "setuid": special(tarfile.REGTYPE, 0o4755),
    "setgid": special(tarfile.REGTYPE, 0o2755),
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS.keys())
def test_a_tar_entry_that_is_no_plain_file_is_refused(data: bytes, tmp_path: Path) -> None:
    assert refusal(data, tmp_path) == "UNSAFE_ENTRY"


def test_a_file_below_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    link = tarfile.TarInfo("sub")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
    data = link.tobuf() + tarred(("sub/x", b"out"))
    assert refusal(data, tmp_path) == "UNSAFE_ENTRY"
    info = zipfile.ZipInfo("sub")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, str(tmp_path / "outside"))
        archive.writestr("sub/x", b"out")
    assert refusal(buffer.getvalue(), tmp_path) == "UNSAFE_ENTRY"
    assert contents(tmp_path / "outside") == {}


@of_every_kind
def test_more_than_is_allowed_is_refused(make: Callable[..., bytes], tmp_path: Path) -> None:
    one_file = make(("big", bytes(SMALL.file_bytes + 1)))
    together = make(*((f"f{k}", bytes(SMALL.file_bytes)) for k in range(3)))
    many = make(*((f"f{k}", b"") for k in range(SMALL.entries + 1)))
    for data in (one_file, together, many):
        assert refusal(data, tmp_path) == "TOO_LARGE"
    small = PackageLimits(package_bytes=10)
    assert refusal(make(("a", b"")), tmp_path, small) == "TOO_LARGE"


def test_a_bomb_that_says_it_is_small_is_refused(tmp_path: Path) -> None:
    data = zipped(("bomb", bytes(64 << 20)), method=zipfile.ZIP_DEFLATED)
    assert refusal(data, tmp_path) == "TOO_LARGE"
    lying = data.replace(struct.pack("<L", 64 << 20), struct.pack("<L", 10))
    assert refusal(lying, tmp_path) == "TOO_LARGE"


def test_a_package_in_a_package_stays_one(tmp_path: Path) -> None:
    inner = zipped(("bomb", bytes(32 << 20)), method=zipfile.ZIP_DEFLATED)
    assert unpacked(zipped(("inner.zip", inner)), tmp_path) == {"inner.zip": inner}


def test_a_million_entries_are_refused_at_once(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a/").tobuf()
    assert refusal(header * 3 + bytes(1024), tmp_path) == "UNSAFE_PATH"
    entry = zip_header(b"x")
    listed = central_header(b"x", 0)
    count = 10**6
    start, size = len(entry), len(listed) * count
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    assert refusal(entry + listed * count + end_64 + locator + end, tmp_path) == "TOO_LARGE"
    fewer = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, start, 0)
    assert refusal(entry + listed * count + fewer, tmp_path) == "FORMAT"


def test_a_tar_of_a_million_entries_is_refused_at_the_first_too_many(tmp_path: Path) -> None:
    names = (tarfile.TarInfo(f"f{k}").tobuf() for k in range(10_000))
    assert refusal(b"".join(names), tmp_path) == "TOO_LARGE"
