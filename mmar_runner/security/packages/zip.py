# SPDX-License-Identifier: Apache-2.0
"""Reading a zip file that somebody else made (PKWARE's APPNOTE 6.3, sections 4.3 to 4.5).

The format says most things twice, and readers differ in which they believe. Here both
must say the same, and every byte must belong to one entry: the entries lie one after
the other from the first byte on, their list follows, then its end. Files are stored or
deflated; nothing is encrypted, and no comment follows.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, BinaryIO

from mmar_runner.security.packages.names import shown
from mmar_runner.security.packages.sink import (
    BLOCK_BYTES,
    damaged,
    require_plain,
    too_large,
    unsafe_entry,
)
from mmar_runner.security.packages.zip_records import (
    DEFLATED,
    STORED,
    ZipEntry,
    descriptors,
    find_list,
    listed_entries,
    read_exactly,
    read_local,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zlib import _Decompress

    from mmar_runner.security.packages.sink import Sink


def unpack_zip(stream: BinaryIO, size: int, sink: Sink, *, entries: int) -> None:
    """Hand every entry of a zip file to a sink.

    Args:
        stream: The zip file.
        size: Its size in bytes.
        sink: Takes the entries.
        entries: How many there may be.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY, TOO_LARGE or FORMAT.
        StorageError: An entry cannot be written.
    """
    listing = find_list(stream, size)
    if listing.count > entries:
        raise too_large(f"more than {entries} entries")
    position = 0
    for entry in sorted(listed_entries(stream, listing), key=lambda found: found.offset):
        if entry.offset != position:
            raise damaged("entries overlap, or something lies between them")
        sink.count()
        position = _take(stream, entry, listing.start, sink)
    if position != listing.start:
        raise damaged("something lies between the entries and their list")


def _take(stream: BinaryIO, entry: ZipEntry, end: int, sink: Sink) -> int:
    """Hand one entry to the sink and return where the next one begins."""
    require_plain(entry.name, entry.mode)
    begin = read_local(stream, entry)
    after = begin + entry.packed
    if after > end:
        raise damaged("entries overlap, or something lies between them")
    if entry.name.endswith("/"):
        if entry.size or entry.packed:
            raise unsafe_entry(entry.name, "a folder with content")
        sink.folder(entry.name[:-1])
    else:
        sink.file(entry.name, _content(stream, entry))
    return after + _descriptor_bytes(stream, entry, after)


def _descriptor_bytes(stream: BinaryIO, entry: ZipEntry, at: int) -> int:
    """Return the bytes of what repeats an entry's sizes behind it, if that is announced."""
    possible = descriptors(entry)
    if not possible:
        return 0
    stream.seek(at)
    found = stream.read(max(map(len, possible)))
    # The longest that fits: a shorter one may be the beginning of a longer one.
    for descriptor in sorted(possible, key=len, reverse=True):
        if found.startswith(descriptor):
            return len(descriptor)
    raise damaged(f"what follows {shown(entry.name)} does not repeat its sizes")


def _content(stream: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """Yield a file's bytes; they must be as many as declared, with the declared sum."""
    size = checksum = 0
    blocks = _stored(stream, entry.packed)
    if entry.method == DEFLATED:
        blocks = _inflated(blocks)
    elif entry.method != STORED:
        raise damaged(f"{shown(entry.name)} is encrypted, or compressed in an unusual way")
    for block in blocks:
        size += len(block)
        if size > entry.size:
            raise too_large(f"more of {shown(entry.name)} than it declares")
        checksum = zlib.crc32(block, checksum)
        yield block
    if size != entry.size or checksum != entry.crc:
        raise damaged(f"{shown(entry.name)} is not what was packed")


def _stored(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        block = read_exactly(stream, min(size, BLOCK_BYTES))
        size -= len(block)
        yield block


def _inflated(blocks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-15)
    for packed in blocks:
        rest = packed
        while rest and not inflater.eof:
            yield _inflate(inflater, rest)
            rest = inflater.unconsumed_tail
        if inflater.eof and (rest or inflater.unused_data or next(blocks, b"")):
            raise damaged("something lies behind its compressed bytes")
    while not inflater.eof:
        block = _inflate(inflater, b"")
        if not block and not inflater.eof:
            raise damaged("its compressed bytes end too early")
        yield block


def _inflate(inflater: _Decompress, packed: bytes) -> bytes:
    try:
        return inflater.decompress(packed, BLOCK_BYTES)
    except zlib.error as error:
        raise damaged("its compressed bytes are not sound") from error
