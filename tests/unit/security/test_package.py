# SPDX-License-Identifier: Apache-2.0
"""Packages: what is packed comes out again; what is unsafe is refused, and nothing remains."""

from __future__ import annotations

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmar_runner.errors import PackageError, StorageError
from mmar_runner.security.packages import names as package_names
from mmar_runner.security.packages import sink as package_sink
from mmar_runner.security.packages import zip as package_zip
from mmar_runner.security.packages.packing import PackageLimits, pack, unpack

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


def gzipped_with_a_wrong_sum(*entries: Entry) -> bytes:
    """Return a tar file in two gzip members, the first of which does not hold what it says."""
    whole = tarred(*entries)
    first = bytearray(gzip.compress(whole[:1500]))
    first[-8] ^= 1
    return bytes(first) + gzip.compress(whole[1500:])


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


HONEST = (("config/a.json", b"{}"), ("models/w.bin", bytes(range(256)) * 9), ("ü/é.txt", b""))


@of_every_kind
def test_an_honest_package_comes_out_as_it_went_in(
    make: Callable[..., bytes], tmp_path: Path
) -> None:
    assert unpacked(make(*HONEST), tmp_path) == dict(HONEST)


def test_packing_the_same_files_gives_the_same_bytes_and_they_come_out_again(
    tmp_path: Path,
) -> None:
    for name, order in (("one", HONEST), ("two", tuple(reversed(HONEST)))):
        for path, content in order:
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
    first = pack(tmp_path / "one", tmp_path / "one.zip")
    second = pack(tmp_path / "two", tmp_path / "two.zip")
    assert (first.sha256, first.size) == (second.sha256, second.size)
    assert first.size == first.path.stat().st_size
    unpack(first.path, tmp_path / "out")
    assert contents(tmp_path / "out") == dict(HONEST)
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two", "one.zip", "two.zip", "out"}


def test_what_was_unpacked_runs_with_nobodys_rights(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("run.sh")
    info.external_attr = (stat.S_IFREG | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"#!/bin/sh\n")
    unpacked(buffer.getvalue(), tmp_path)
    assert (tmp_path / "to" / "run.sh").stat().st_mode & 0o777 == 0o600


def test_a_package_of_a_folder_with_a_link_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError) as caught:
        pack(tmp_path / "m", tmp_path / "m.zip")
    assert caught.value.reason == "UNSAFE_ENTRY"
    assert {path.name for path in tmp_path.iterdir()} == {"m"}


def test_a_package_is_never_written_through_a_link_that_lies_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"1")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".m.zip.tmp").symlink_to(tmp_path / "mine")
    unpack(pack(tmp_path / "m", tmp_path / "m.zip").path, tmp_path / "out")
    assert contents(tmp_path / "out") == {"a": b"1"}
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "m.zip").is_symlink()


def test_a_package_that_cannot_be_begun_is_a_fault_of_storage(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / ".m.zip.tmp").mkdir()
    with pytest.raises(StorageError):
        pack(tmp_path / "m", tmp_path / "m.zip")


def test_a_destination_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    with pytest.raises(StorageError, match="is there already"):
        unpacked(zipped(("a", b"")), tmp_path)
    assert contents(tmp_path / "to") == {}


BAD_NAMES = {
    "parent": "../x",
    "parent inside": "a/../../x",
    "parent at the end": "a/..",
    "absolute": "/abs",
    "two slashes": "//abs",
    "drive": "C:\\x",
    "drive with a slash": "C:/x",
    "drive alone": "c:x",
    "backslash": "a\\b",
    "backslashed parent": "..\\x",
    "dot": "./x",
    "empty part": "a//b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "right to left": "a\u202eb",
    "decomposed": "e\u0301",
    "long part": "x" * 256,
    "long name": "/".join(["x" * 200] * 6),
    "deep": "/".join("x" * 9),
}


@of_every_kind
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_an_unsafe_name_is_refused_and_never_mended(
    make: Callable[..., bytes], name: str, tmp_path: Path
) -> None:
    assert refusal(make(("first", b"1"), (name, b"2")), tmp_path) == "UNSAFE_PATH"


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    bad = zipped(("aXb", b"")).replace(b"aXb", b"a\0b")
    assert refusal(bad, tmp_path) == "UNSAFE_PATH"
    header = tarfile.TarInfo("aXb").tobuf(tarfile.USTAR_FORMAT).replace(b"aXb", b"a\0b")
    assert refusal(summed(header) + bytes(1024), tmp_path) == "UNSAFE_PATH"


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    assert refusal(zipped(("aXb", b"")).replace(b"aXb", b"a\xe9b"), tmp_path) == "UNSAFE_PATH"
    header = tarfile.TarInfo("aXb").tobuf(tarfile.USTAR_FORMAT).replace(b"aXb", b"a\xe9b")
    assert refusal(summed(header) + bytes(1024), tmp_path) == "UNSAFE_PATH"


CLASHES = {
    "twice": ("a", "a"),
    "case": ("a", "A"),
    "sharp s": ("straße", "STRASSE"),
    "compatible form": ("\ufb01", "fi"),
    "case of a folder": ("A/x", "a/y"),
    "file below a file": ("a", "a/b"),
    "file over a folder": ("a/b", "a"),
}


@of_every_kind
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("names", CLASHES.values(), ids=CLASHES.keys())
def test_two_names_for_one_place_are_refused(
    make: Callable[..., bytes], names: tuple[str, str], tmp_path: Path
) -> None:
    assert refusal(make(*((name, b"") for name in names)), tmp_path) == "UNSAFE_PATH"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("A", "a"), "the name 'a', which differs from 'A' in case or form only"),
        (
            ("A/x", "a/y"),
            "the name 'a/y', which lies in 'a', which differs from 'A' in case or form only",
        ),
        (("a/b", "a"), "the name 'a', which is a file and a folder"),
        (("a", "a/b"), "the name 'a/b', which lies in 'a', which is a file and a folder"),
        (("a/b", "A"), "the name 'A', which differs from 'a' in case or form only"),
    ],
)
def test_two_names_for_one_place_are_told_by_what_they_are(
    names: tuple[str, str], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "package").write_bytes(zipped(*((name, b"") for name in names)))
    with pytest.raises(PackageError) as caught:
        unpack(tmp_path / "package", tmp_path / "to", SMALL)
    assert caught.value.message == f"the package holds {sentence}"


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


def test_the_hand_made_zip_is_sound(tmp_path: Path) -> None:
    assert unpacked(zip_of(*SOUND, 1), tmp_path) == {"a": b""}


@pytest.mark.parametrize("data", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_package_that_contradicts_itself_is_refused(data: bytes, tmp_path: Path) -> None:
    assert refusal(data, tmp_path) == "FORMAT"


def test_a_second_name_in_an_extra_field_is_refused(tmp_path: Path) -> None:
    listed = central_header(b"a", 0, extra=UNICODE_NAME)
    assert refusal(zip_of(SOUND[0], listed, 1), tmp_path) == "UNSAFE_PATH"


def summed(header: bytes) -> bytes:
    """Return a tar header with the right sum."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


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


def test_harmless_pax_records_are_left_alone(tmp_path: Path) -> None:
    data = pax({"comment": "x"}, tarfile.XGLTYPE) + pax({"mtime": "1.5"}) + tarred(("a", b"1"))
    assert unpacked(data, tmp_path) == {"a": b"1"}


def mutated(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        position = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[position] = chance.randrange(256)
            case 1:
                del changed[position : position + chance.randint(1, 40)]
            case 2:
                changed[position:position] = chance.randbytes(chance.randint(1, 40))
            case _:
                changed[position : position + 1] = chance.choice([b"/", b"..", b"\0", b"\xff" * 4])
        changed = changed or bytearray(1)
    return bytes(changed)


ANY_NAME = st.lists(st.sampled_from(["..", ".", "", "a", "A", "b", "C:", "\\", "\n"]), max_size=4)
ANY_ENTRIES = st.lists(st.tuples(ANY_NAME.map("/".join), st.binary(max_size=64)), max_size=5)
SEEDS = st.integers(0, 2**32)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=ANY_ENTRIES, make=st.sampled_from(list(MAKERS.values())), seed=SEEDS)
@example(entries=[("../x", b"out")], make=zipped, seed=0)
def test_whatever_the_bytes_nothing_is_written_outside_and_nothing_remains_of_a_refusal(
    entries: list[Entry],
    make: Callable[..., bytes],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole = make(*entries)
    for data in (whole, mutated(whole, seed)):
        around = tmp_path_factory.mktemp("around")
        (around / "package").write_bytes(data)
        try:
            unpack(around / "package", around / "deep" / ".." / "to", SMALL)
        except (PackageError, StorageError):
            expected = {"package"}
        else:
            expected = {"package", "to"}
        assert {path.name for path in around.iterdir()} <= expected


def test_without_the_guard_of_names_the_attack_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_names, "_problem", lambda name, depth: None)
    unpacked(zipped(("../outside", b"out")), tmp_path)
    assert (tmp_path / "outside").read_bytes() == b"out"


def test_without_the_guard_of_kinds_the_attack_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    monkeypatch.setattr(package_zip, "require_plain", lambda name, mode: None)
    # Even then it becomes a file with the link's text, never a link.
    assert unpacked(buffer.getvalue(), tmp_path) == {"link": b"/etc/passwd"}


def test_without_the_count_of_bytes_a_bomb_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zipped(("bomb", bytes(2 << 20)), method=zipfile.ZIP_DEFLATED)
    assert refusal(bomb, tmp_path) == "TOO_LARGE"
    monkeypatch.setattr(package_sink.Sink, "_counted", lambda self, name, blocks: blocks)
    assert len(unpacked(bomb, tmp_path)["bomb"]) == 2 << 20
