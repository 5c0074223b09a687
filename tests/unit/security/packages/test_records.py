# SPDX-License-Identifier: Apache-2.0
"""Records of a package, one field at a time: what says something else is refused."""

from __future__ import annotations

import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.security.packages.makers import (
    central_header,
    refusal,
    tarred,
    unpacked,
    zip_header,
)

SOUND = (zip_header(b"a"), central_header(b"a", 0))


def zip_of(entries: bytes, listed: bytes, count: int, *, comment: bytes = b"") -> bytes:
    end = (b"PK\5\6", 0, 0, count, count, len(listed), len(entries), len(comment))
    return entries + listed + struct.pack("<4s4H2LH", *end) + comment


def ended(listed: bytes, **changes: int) -> bytes:
    """Return the last record of a package of one entry, with other numbers in it."""
    numbers = {"disk": 0, "first_disk": 0, "here": 1, "count": 1, "size": len(listed)}
    numbers |= {"start": len(SOUND[0]), "comment": 0} | changes
    return struct.pack("<4s4H2LH", b"PK\5\6", *numbers.values())


def wide(**changes: Any) -> bytes:
    """Return a package of one entry with 64-bit records, with other values in them."""
    entry, listed = SOUND
    end_at = len(entry) + len(listed)
    record = {"kind": b"PK\6\6", "length": 44, "by": 45, "needs": 45, "disk": 0, "first_disk": 0}
    record |= {"here": 1, "count": 1, "size": len(listed), "start": len(entry)}
    locator = {"kind": b"PK\6\7", "its_disk": 0, "at": end_at, "disks": 1}
    narrow = {"here": 0xFFFF, "count": 0xFFFF, "size": 0xFFFFFFFF, "start": 0xFFFFFFFF}
    narrow = {key: changes.pop(f"narrow_{key}", value) for key, value in narrow.items()}
    locator |= {
        key: changes.pop(key) for key in list(changes) if key in {"its_disk", "at", "disks"}
    }
    record |= changes
    return (
        entry
        + listed
        + struct.pack("<4sQ2H2L4Q", *record.values())
        + struct.pack("<4sLQL", *locator.values())
        + ended(listed, **narrow)
    )


@pytest.mark.parametrize(
    "changes", [{}, {"narrow_here": 1, "narrow_count": 1}, {"narrow_size": 47}]
)
def test_the_hand_made_wide_zip_is_sound(changes: dict[str, int], tmp_path: Path) -> None:
    assert len(SOUND[1]) == 47
    assert unpacked(wide(**changes), tmp_path) == {"a": b""}


@pytest.mark.parametrize(
    "changes",
    [
        *({"disk": 1}, {"first_disk": 1}, {"here": 2}, {"count": 2}, {"here": 2, "count": 2}),
        *({"size": 46}, {"size": 48}, {"start": 0}, {"length": 45}, {"kind": b"PK\6\5"}),
        *({"its_disk": 1}, {"disks": 2}, {"disks": 0}, {"at": 0}, {"at": 79}),
        *({"narrow_here": 2, "narrow_count": 2}, {"narrow_size": 46}, {"narrow_start": 30}),
    ],
    ids=str,
)
def test_wide_records_that_say_something_else_are_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    assert refusal(wide(**changes), tmp_path) == "FORMAT"


@pytest.mark.parametrize(
    "changes",
    [
        *({"disk": 1}, {"first_disk": 1}, {"disk": 1, "first_disk": 1}, {"here": 2}, {"count": 2}),
        *({"size": 46}, {"start": 30}, {"comment": 1}),
    ],
    ids=str,
)
def test_an_end_that_says_something_else_is_refused(
    changes: dict[str, int], tmp_path: Path
) -> None:
    assert unpacked(b"".join(SOUND) + ended(SOUND[1]), tmp_path) == {"a": b""}
    assert refusal(b"".join(SOUND) + ended(SOUND[1], **changes), tmp_path) == "FORMAT"


@pytest.mark.parametrize(
    "extra",
    [struct.pack("<2H", 9, 99), struct.pack("<2H", 9, 0) * 2],
    ids=["longer than all", "twice"],
)
def test_an_extra_field_that_is_not_sound_is_refused(extra: bytes, tmp_path: Path) -> None:
    assert refusal(zip_of(SOUND[0], central_header(b"a", 0, extra=extra), 1), tmp_path) == "FORMAT"
    assert refusal(zip_of(zip_header(b"a", extra=extra), SOUND[1], 1), tmp_path) == "FORMAT"
    sound = struct.pack("<2H", 9, 2) + b"xy" + struct.pack("<2H", 8, 0)
    listed = central_header(b"a", 0, extra=sound)
    assert unpacked(zip_of(SOUND[0], listed, 1), tmp_path) == {"a": b""}


def test_another_compression_is_refused(tmp_path: Path) -> None:
    method = struct.pack("<H", 12)
    entry, listed = SOUND
    data = zip_of(entry[:8] + method + entry[10:], listed[:10] + method + listed[12:], 1)
    assert refusal(data, tmp_path) == "FORMAT"


def summed(header: bytes) -> bytes:
    """Return a tar header with the right sum."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


def test_a_pax_record_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    record = b"10 path=b\n" * 2
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    data = info.tobuf() + record + bytes(512 - len(record)) + tarred(("a", b"1"))
    assert refusal(data, tmp_path) == "FORMAT"


def test_a_name_in_two_parts_is_put_together(tmp_path: Path) -> None:
    name = f"{'d' * 90}/{'f' * 90}"
    data = tarred((name, b"1"), form=tarfile.USTAR_FORMAT)
    assert unpacked(data, tmp_path) == {name: b"1"}


def test_a_size_in_binary_is_read(tmp_path: Path) -> None:
    data = tarred(("a", b"12"), form=tarfile.GNU_FORMAT)
    header = summed(data[:124] + b"\x80" + bytes(10) + b"\x02" + data[136:512])
    assert unpacked(header + data[512:], tmp_path) == {"a": b"12"}
