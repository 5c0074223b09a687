# SPDX-License-Identifier: Apache-2.0
"""Reading a tar file that somebody else made (POSIX ustar and pax; GNU's long names).

Only what describes plain files and folders is understood; whatever could make two
readers see different entries is refused: links, sparse files, records for the whole
archive that name files, and bytes behind the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from mmar_runner.security.packages.names import MAX_NAME_BYTES, unsafe_path
from mmar_runner.security.packages.sink import (
    BLOCK_BYTES,
    damaged,
    require_plain,
    too_large,
    unsafe_entry,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.security.packages.sink import Sink

_RECORD: Final = 512
_EMPTY: Final = bytes(_RECORD)
#: Bytes of the records before an entry that say more about it, and of the filling at the end.
_DESCRIPTION_BYTES: Final = 64 << 10
_FILLING_BYTES: Final = 1 << 20
#: The first byte of a number that is not written in octal digits.
_BINARY: Final = 0x80
_CHECKSUM: Final = slice(148, 156)
_FILES: Final = frozenset({b"0", b"\0", b"7"})
_FOLDER: Final = b"5"
_LONG_NAME: Final = b"L"
_PAX: Final = b"x"
_PAX_GLOBAL: Final = b"g"
#: What pax records may say besides the name; everything else that they say is left alone.
_DECISIVE: Final = frozenset({"path", "size", "linkpath"})


def unpack_tar(stream: BinaryIO, sink: Sink) -> None:
    """Hand every entry of a tar file to a sink.

    Args:
        stream: The tar file, uncompressed; it is read once, from the beginning.
        sink: Takes the entries.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY, TOO_LARGE or FORMAT.
        StorageError: An entry cannot be written.
    """
    long_name: str | None = None
    while (header := _read(stream, _RECORD)) != _EMPTY:
        _require_sum(header)
        sink.count()
        kind, size = header[156:157], _number(header[124:136])
        if kind in {_LONG_NAME, _PAX, _PAX_GLOBAL}:
            said = _description(stream, kind, size)
            if said is not None and long_name is not None:
                raise damaged("an entry has two long names")
            long_name = said or long_name
            continue
        name = long_name if long_name is not None else _short_name(header)
        _take(stream, sink, name, header)
        long_name = None
    if long_name is not None:
        raise damaged("a name without an entry")
    _require_end(stream)


def _take(stream: BinaryIO, sink: Sink, name: str, header: bytes) -> None:
    kind, size, mode = header[156:157], _number(header[124:136]), _number(header[100:108])
    require_plain(name, mode & 0o7777)
    if kind == _FOLDER:
        if size:
            raise unsafe_entry(name, "a folder with content")
        sink.folder(name.removesuffix("/"))
    elif kind in _FILES:
        sink.file(name, _content(stream, size))
        _skip_filling(stream, size)
    else:
        raise unsafe_entry(name, "a link, a pipe, a device or something unknown")


def _description(stream: BinaryIO, kind: bytes, size: int) -> str | None:
    """Return the name that a record before an entry gives to it, if it gives one."""
    if size > _DESCRIPTION_BYTES:
        raise too_large("a description that is larger than any")
    data = _read(stream, size)
    _skip_filling(stream, size)
    if kind == _LONG_NAME:
        return _text(data.removesuffix(b"\0"))
    said = _pax(data)
    if kind == _PAX_GLOBAL and said:
        raise unsafe_path(next(iter(said.values())), "is given to all entries at once")
    if said.keys() - {"path"}:
        raise unsafe_entry(said.get("path", ""), "a link, or described in an unusual way")
    return said.get("path")


def _pax(data: bytes) -> dict[str, str]:
    """Return the decisive pax records: ``LENGTH KEY=VALUE`` and a newline, each."""
    said: dict[str, str] = {}
    while data:
        digits, _, _ = data[:12].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record, data = data[len(digits) + 1 : length], data[length:]
        key, equals, value = record.removesuffix(b"\n").partition(b"=")
        if not equals or not record.endswith(b"\n"):
            raise damaged("a pax record is not sound")
        name = _text(key)
        if name in said:
            raise damaged(f"a pax record is there twice: {name}")
        if name in _DECISIVE or name.startswith("GNU.sparse"):
            said[name] = _text(value)
    return said


def _short_name(header: bytes) -> str:
    name = header[:100].partition(b"\0")
    if name[2].strip(b"\0"):
        raise unsafe_path(_text(name[0]), "has more letters behind its end")
    prefix = b""
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
    return _text(prefix + b"/" + name[0] if prefix else name[0])


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise unsafe_path(data[:MAX_NAME_BYTES].decode("latin-1"), "is not UTF-8") from error
    if len(data) > MAX_NAME_BYTES + 1:
        raise unsafe_path(text, "is too long or too deep")
    return text


def _number(field: bytes) -> int:
    """Return an octal number, or a binary one whose first bit says so (GNU)."""
    if field[0] == _BINARY:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits and not (digits.isdigit() and not set(digits) & set(b"89")):
        raise damaged("a number in it is none")
    return int(digits or b"0", 8)


def _require_sum(header: bytes) -> None:
    declared = _number(header[_CHECKSUM])
    if declared != sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" "):
        raise damaged("the sum of a header is wrong")


def _require_end(stream: BinaryIO) -> None:
    """Read the rest: nothing but zeros, and not many."""
    rest = stream.read(_FILLING_BYTES + 1)
    if len(rest) < _RECORD or len(rest) > _FILLING_BYTES or rest.strip(b"\0"):
        raise damaged("it has no end, or something behind it")


def _content(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        block = stream.read(min(size, BLOCK_BYTES))
        if not block:
            raise damaged("it ends too early")
        size -= len(block)
        yield block


def _skip_filling(stream: BinaryIO, size: int) -> None:
    if _read(stream, -size % _RECORD).strip(b"\0"):
        raise damaged("something lies between two entries")


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise damaged("it ends too early")
    return data
