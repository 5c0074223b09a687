# SPDX-License-Identifier: Apache-2.0
"""Packages that say two things of one file are refused."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import PackageError
from mmar_runner.security.packages.packing import unpack
from mmar_runner.security.packages.zip_records import ZipEntry, descriptors
from tests.unit.security.packages.makers import (
    Entry,
    central_header,
    gzipped,
    refusal,
    tarred,
    unpacked,
    zip_header,
    zipped,
)


def gzipped_with_a_wrong_sum(*entries: Entry) -> bytes:
    """Return a tar file in two gzip members, the first of which does not hold what it says."""
    whole = tarred(*entries)
    first = bytearray(gzip.compress(whole[:1500]))
    first[-8] ^= 1
    return bytes(first) + gzip.compress(whole[1500:])


def test_sixty_four_bit_sizes_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w") as archive,
        archive.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as file,
    ):
        file.write(b"content")
    assert unpacked(buffer.getvalue(), tmp_path) == {"a": b"content"}


def test_sizes_that_follow_are_read(tmp_path: Path) -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"content" * 99)
        archive.writestr("b", b"")
    data = buffer.getvalue()
    assert unpacked(data, tmp_path) == {"a": b"content" * 99, "b": b""}
    assert refusal(data.replace(b"PK\7\x08", b"PK\7\x09", 1), tmp_path) == "FORMAT"


def zip_of(entries: bytes, listed: bytes, count: int, *, comment: bytes = b"") -> bytes:
    end = (b"PK\5\6", 0, 0, count, count, len(listed), len(entries), len(comment))
    return entries + listed + struct.pack("<4s4H2LH", *end) + comment


SOUND = (zip_header(b"a"), central_header(b"a", 0))
UNICODE_NAME = struct.pack("<2HBL", 0x7075, 6, 1, 0) + b"b"
NARROW_64 = struct.pack("<2HL", 1, 4, 0)
CONTRADICTIONS = {
    "another name before the content": zip_of(zip_header(b"b"), SOUND[1], 1),
    "another size before the content": zip_of(zip_header(b"a", size=1) + b"x", SOUND[1], 1),
    "other flags before the content": zip_of(zip_header(b"a", flags=8), SOUND[1], 1),
    "an entry that is not listed": zip_of(SOUND[0] + zip_header(b"b"), SOUND[1], 1),
    "a hidden beginning": zip_of(b"PK\3\4hidden" + SOUND[0], central_header(b"a", 10), 1),
    "an entry listed twice": zip_of(SOUND[0], SOUND[1] + central_header(b"a", 0), 2),
    "two names for the same bytes": zip_of(SOUND[0], SOUND[1] + central_header(b"b", 0), 2),
    "one entry inside another": zip_of(
        zip_header(b"a", size=31) + SOUND[0],
        central_header(b"a", 0, size=31) + central_header(b"a", 31),
        2,
    ),
    "content that reaches into the list": zip_of(
        zip_header(b"a", size=9), central_header(b"a", 0, size=9), 1
    ),
    "fewer listed than counted": zip_of(*SOUND, 2),
    "more listed than counted": zip_of(*SOUND, 0),
    "a comment": zip_of(*SOUND, 1, comment=b"PK\5\6"),
    "bytes behind the end": zip_of(*SOUND, 1) + b"x",
    "bytes before the list": zip_of(SOUND[0] + b"x", SOUND[1], 1),
    "encrypted": zip_of(zip_header(b"a", flags=1), central_header(b"a", 0, flags=1), 1),
    "a wrong sum": zipped(("a", b"content")).replace(b"content", b"CONTENT"),
    "a narrow 64-bit field": zip_of(
        zip_header(b"a", size=2**32 - 1, extra=NARROW_64),
        central_header(b"a", 0, size=2**32 - 1, extra=NARROW_64),
        1,
    ),
    "cut": zipped(("a", b"content"))[:-1],
    "nothing": b"",
    "no archive": b"Hello, world. " * 99,
    "broken compression": zipped(("a", bytes(99)), method=zipfile.ZIP_DEFLATED).replace(
        b"c`", b"\xff\xff"
    ),
    "broken gzip": gzipped(("a", b"1"))[:-4],
    "gzip with a wrong sum in a file": gzipped_with_a_wrong_sum(("a", bytes(range(256)) * 999)),
    "gzip of nothing": b"\x1f\x8b" + bytes(20),
    "tar without an end": tarred(("a", b"1"))[:1024],
    "tar with bytes behind its end": tarred(("a", b"1")) + tarred(("b", b"2")),
    "tar with too much filling": tarred(("a", b"1")) + bytes(2 << 20),
    "tar with a hidden filling": tarred(("a", b"1")).replace(b"1" + bytes(9), b"1" + b"hidden..."),
    "tar with a wrong sum": b"b" + tarred(("a", b"1"))[1:],
}


def test_the_hand_made_zip_is_sound(tmp_path: Path) -> None:
    assert unpacked(zip_of(*SOUND, 1), tmp_path) == {"a": b""}


@pytest.mark.parametrize("data", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_package_that_contradicts_itself_is_refused(data: bytes, tmp_path: Path) -> None:
    assert refusal(data, tmp_path) == "FORMAT"


@pytest.mark.parametrize(("before", "taken"), [(0, True), (1, False)])
def test_sizes_that_follow_are_not_told_before_the_content_as_well(
    before: int, taken: bool, tmp_path: Path
) -> None:
    entry = zip_header(b"a", size=before, flags=8) + bytes(12)
    data = zip_of(entry, central_header(b"a", 0, flags=8), 1)
    if taken:
        assert unpacked(data, tmp_path) == {"a": b""}
    else:
        assert refusal(data, tmp_path) == "FORMAT"


def test_nothing_follows_an_entry_that_does_not_announce_it() -> None:
    plain = ZipEntry("a", b"a", 0, 0, 1, 2, 3, 0, 0)
    assert descriptors(plain) == set()
    assert {len(found) for found in descriptors(replace(plain, flags=8))} == {12, 16, 20, 24}


def test_a_second_name_in_an_extra_field_is_refused(tmp_path: Path) -> None:
    listed = central_header(b"a", 0, extra=UNICODE_NAME)
    assert refusal(zip_of(SOUND[0], listed, 1), tmp_path) == "UNSAFE_PATH"


def pax(records: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    return tarfile.TarInfo._create_pax_generic_header(records, kind, "utf-8")


PAX_TRICKS = {
    "another size": (pax({"size": "0"}) + tarred(("a", b"1")), "UNSAFE_ENTRY"),
    "a link": (pax({"linkpath": "/etc"}) + tarred(("a", b"1")), "UNSAFE_ENTRY"),
    "sparse": (pax({"GNU.sparse.name": "b"}) + tarred(("a", b"1")), "UNSAFE_ENTRY"),
    "a name for all": (pax({"path": "b"}, tarfile.XGLTYPE) + tarred(("a", b"")), "UNSAFE_PATH"),
    "a parent": (pax({"path": "../b"}) + tarred(("a", b"1")), "UNSAFE_PATH"),
    "a nul": (pax({"path": "a\0b"}) + tarred(("a", b"1")), "UNSAFE_PATH"),
    "two names": (pax({"path": "b"}) * 2 + tarred(("a", b"1")), "FORMAT"),
    "too long": (pax({"path": "b" * (1 << 17)}) + tarred(("a", b"1")), "TOO_LARGE"),
    "no entry": (pax({"path": "b"}) + bytes(1024), "FORMAT"),
    "no record": (pax({"path": "b"}).replace(b"path=", b"path:") + bytes(1024), "FORMAT"),
}


@pytest.mark.parametrize(("data", "reason"), PAX_TRICKS.values(), ids=PAX_TRICKS.keys())
def test_what_pax_records_could_change_is_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    assert refusal(data, tmp_path) == reason


def test_a_refused_pax_record_is_told_with_the_name_of_its_entry(tmp_path: Path) -> None:
    data = pax({"path": "b-by-pax", "size": "0"}) + tarred(("a", b"1"))
    (tmp_path / "package").write_bytes(data)
    with pytest.raises(PackageError, match="b-by-pax"):
        unpack(tmp_path / "package", tmp_path / "to")


def test_harmless_pax_records_are_left_alone(tmp_path: Path) -> None:
    data = pax({"comment": "x"}, tarfile.XGLTYPE) + pax({"mtime": "1.5"}) + tarred(("a", b"1"))
    assert unpacked(data, tmp_path) == {"a": b"1"}
