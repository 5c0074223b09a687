# SPDX-License-Identifier: Apache-2.0
"""Packages of every format, made by hand, and what becomes of them when they are unpacked."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from mmar_runner.errors import PackageError
from mmar_runner.security.packages.packing import PackageLimits, unpack

Entry = tuple[str, bytes]
SMALL = PackageLimits(total_bytes=1 << 20, file_bytes=1 << 19, entries=100, depth=5)


def zipped(*entries: Entry, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo("x")
            # The names as they stand: the library would mend some of them.
            info.filename, info.compress_type = name, method
            archive.writestr(info, content)
    return buffer.getvalue()


def tarred(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def gzipped(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


MAKERS = {
    "zip": zipped,
    "deflated zip": lambda *entries: zipped(*entries, method=zipfile.ZIP_DEFLATED),
    "pax tar": tarred,
    "gnu tar": lambda *entries: tarred(*entries, form=tarfile.GNU_FORMAT),
    "gzipped tar": gzipped,
}
of_every_kind = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unpacked(data: bytes, tmp_path: Path, limits: PackageLimits = SMALL) -> dict[str, bytes]:
    archive = tmp_path / "package"
    archive.write_bytes(data)
    unpack(archive, tmp_path / "to", limits)
    return contents(tmp_path / "to")


def refusal(data: bytes, tmp_path: Path, limits: PackageLimits = SMALL) -> str:
    """Return why a package is refused, after a look that nothing is left of it."""
    tmp_path = tmp_path / "refused"
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "package").write_bytes(data)
    with pytest.raises(PackageError) as caught:
        unpack(tmp_path / "package", tmp_path / "to", limits)
    assert {path.name for path in tmp_path.iterdir()} == {"package"}
    assert caught.value.hint
    assert caught.value.message.isprintable()
    return caught.value.reason


def zip_header(name: bytes, *, size: int = 0, extra: bytes = b"", flags: int = 0) -> bytes:
    return (
        struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, flags, 0, 0, 33, 0, size, size, len(name), len(extra)
        )
        + name
        + extra
    )


def central_header(
    name: bytes, offset: int, *, size: int = 0, extra: bytes = b"", flags: int = 0
) -> bytes:
    fields = (20, 20, flags, 0, 0, 33, 0, size, size, len(name), len(extra), 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name + extra
