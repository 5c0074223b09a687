# SPDX-License-Identifier: Apache-2.0
"""The records of a zip file, read strictly: the list of its entries, and their headers.

Names of fields follow PKWARE's APPNOTE 6.3: end of central directory (4.3.16), its
64-bit form (4.3.14, 4.3.15), central headers (4.3.12), local headers (4.3.7), data
descriptors (4.3.9), extra fields (4.5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from mmar_runner.security.packages.names import MAX_NAME_BYTES, shown, unsafe_path
from mmar_runner.security.packages.sink import damaged

STORED: Final = 0
DEFLATED: Final = 8

_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = struct.Struct("<4sLQL")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_EXTRA: Final = struct.Struct("<2H")
_WIDE_16: Final = 0xFFFF
_WIDE_32: Final = 0xFFFFFFFF
_EXTRA_64: Final = 0x0001
_EXTRA_UNICODE_NAME: Final = 0x7075
_SIZES_FOLLOW: Final = 0x0008
_UTF_8: Final = 0x0800
#: Flags that may be set: how well it was compressed, sizes follow, the name is UTF-8.
_KNOWN_FLAGS: Final = 0x0006 | _SIZES_FOLLOW | _UTF_8


@dataclass(frozen=True, slots=True)
class Listing:
    """Where the list of entries lies: its first byte, its bytes, its entries."""

    start: int
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry, as the list says.

    Attributes:
        name: Its name; a folder's ends with a slash.
        raw_name: The name's bytes.
        flags: General purpose bits.
        method: How it is compressed.
        crc: CRC-32 of its content.
        packed: Bytes it takes in the archive.
        size: Bytes of its content.
        mode: Unix mode; 0 if there is none.
        offset: Where its local header begins.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Return the next bytes.

    Raises:
        PackageError: FORMAT, there are fewer.
    """
    data = stream.read(size)
    if len(data) != size:
        raise damaged("it ends too early")
    return data


def find_list(stream: BinaryIO, size: int) -> Listing:
    """Return where the list of entries lies.

    Raises:
        PackageError: FORMAT.
    """
    at = size - _END.size
    fields = _END.unpack(_read_at(stream, at, _END.size))
    _, disk, first_disk, here, count, listed, start, comment = fields
    if fields[0] != b"PK\5\6" or disk or first_disk or here != count or comment:
        raise damaged("it has several parts, a comment, or no end")
    found = Listing(start, listed, count)
    locator_at = at - _LOCATOR_64.size
    if locator_at >= 0 and (locator := _read_at(stream, locator_at, 20)).startswith(b"PK\6\7"):
        found, at = _find_wide_list(stream, locator, locator_at, found)
    if found.start + found.size != at:
        raise damaged("the list of its entries is not where it should be")
    return found


def _find_wide_list(
    stream: BinaryIO, locator: bytes, locator_at: int, narrow: Listing
) -> tuple[Listing, int]:
    """Return where the list lies by the 64-bit records, and where the first of them lies."""
    _, disk, at, disks = _LOCATOR_64.unpack(locator)
    if disk or disks != 1 or at + _END_64.size != locator_at:
        raise damaged("its 64-bit records are not where they should be")
    fields = _END_64.unpack(_read_at(stream, at, _END_64.size))
    here, count, listed, start = fields[6:]
    sound = fields[:2] == (b"PK\6\6", _END_64.size - 12) and fields[4:6] == (0, 0)
    agreed = (
        narrow.count in {count, _WIDE_16}
        and narrow.size in {listed, _WIDE_32}
        and narrow.start in {start, _WIDE_32}
    )
    if not sound or not agreed or here != count:
        raise damaged("its 64-bit records say something else than the others")
    return Listing(start, listed, count), at


def listed_entries(stream: BinaryIO, listing: Listing) -> Iterator[ZipEntry]:
    """Yield the entries of the list.

    Raises:
        PackageError: FORMAT or UNSAFE_PATH.
    """
    position, end = listing.start, listing.start + listing.size
    for _ in range(listing.count):
        stream.seek(position)
        fields = _CENTRAL.unpack(read_exactly(stream, _CENTRAL.size))
        lengths = fields[10:13]
        position += _CENTRAL.size + sum(lengths)
        if fields[0] != b"PK\1\2" or fields[13] or position > end:
            raise damaged("the list of its entries is not sound")
        name, extra = (read_exactly(stream, length) for length in lengths[:2])
        yield _entry(fields, name, extra)
    if position != end:
        raise damaged("the list of its entries is longer than it says")


def read_local(stream: BinaryIO, entry: ZipEntry) -> int:
    """Read the header before an entry's content and return where the content begins.

    Raises:
        PackageError: FORMAT, it says something else than the list.
    """
    fields = _LOCAL.unpack(_read_at(stream, entry.offset, _LOCAL.size))
    signature, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = fields
    name = read_exactly(stream, name_bytes)
    extra = _extras(read_exactly(stream, extra_bytes), entry.name)
    said = (signature, flags, method, name)
    agreed = said == (b"PK\3\4", entry.flags, entry.method, entry.raw_name)
    if not entry.flags & _SIZES_FOLLOW:
        size, packed = _widened((size, packed), extra)
        agreed = agreed and (crc, packed, size) == (entry.crc, entry.packed, entry.size)
    elif crc or {packed, size} - {0, _WIDE_32}:
        agreed = False
    if not agreed:
        raise damaged(f"two descriptions of {shown(entry.name)} differ")
    return stream.tell()


def descriptors(entry: ZipEntry) -> set[bytes]:
    """Return what may repeat an entry's sizes behind it; nothing unless that is announced."""
    if not entry.flags & _SIZES_FOLLOW:
        return set()
    bodies = {struct.pack("<L2Q", entry.crc, entry.packed, entry.size)}
    if max(entry.packed, entry.size) <= _WIDE_32:
        bodies.add(struct.pack("<3L", entry.crc, entry.packed, entry.size))
    return bodies | {b"PK\7\x08" + body for body in bodies}


def _entry(fields: tuple[int, ...], raw_name: bytes, raw_extra: bytes) -> ZipEntry:
    flags, method = fields[3:5]
    name = _name(raw_name, flags)
    if flags & ~_KNOWN_FLAGS:
        raise damaged(f"{shown(name)} is encrypted, or packed in an unusual way")
    size, packed, offset = _widened((fields[9], fields[8], fields[16]), _extras(raw_extra, name))
    mode = fields[15] >> 16
    return ZipEntry(name, raw_name, flags, method, fields[7], packed, size, mode, offset)


def _name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF_8 else "ascii")
    except UnicodeDecodeError as error:
        raise unsafe_path(raw[:MAX_NAME_BYTES].decode("latin-1"), "is not UTF-8") from error
    if len(raw) > MAX_NAME_BYTES + 1:
        raise unsafe_path(name, "is too long or too deep")
    return name


def _extras(data: bytes, name: str) -> dict[int, bytes]:
    """Return the extra fields by id."""
    found: dict[int, bytes] = {}
    position = 0
    while position + _EXTRA.size <= len(data):
        kind, length = _EXTRA.unpack_from(data, position)
        position += _EXTRA.size + length
        if kind in found or position > len(data):
            raise damaged(f"an extra field of {shown(name)} is not sound")
        found[kind] = data[position - length : position]
    if _EXTRA_UNICODE_NAME in found:
        raise unsafe_path(name, "has a second form")
    return found


def _widened(fields: tuple[int, ...], extra: dict[int, bytes]) -> list[int]:
    """Return fields of 32 bits, those that are full replaced by the 64-bit ones in turn."""
    wide = extra.get(_EXTRA_64)
    if wide is None:
        return list(fields)
    full = [position for position, field in enumerate(fields) if field == _WIDE_32]
    if len(wide) < 8 * len(full):
        raise damaged("a 64-bit field is not sound")
    widened = list(fields)
    for position, value in zip(full, struct.unpack_from(f"<{len(full)}Q", wide), strict=True):
        widened[position] = value
    return widened


def _read_at(stream: BinaryIO, at: int, size: int) -> bytes:
    if at < 0:
        raise damaged("it is too short")
    stream.seek(at)
    return read_exactly(stream, size)
