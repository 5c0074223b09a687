# SPDX-License-Identifier: Apache-2.0
"""The spool: received once, checked on the way, resumed where it was, reused."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mmar_runner.errors import (
    DigestError,
    DiskFullError,
    FormatError,
    NonFiniteError,
    SchemaMismatchError,
    StorageError,
)
from mmar_runner.storage.safetensors_format import ModelSchema, encode_header
from mmar_runner.storage.spool import Spool

if TYPE_CHECKING:
    from mmar_runner.storage.spool_file import SpoolFile

_COUNT = 50_000
_SCHEMA = ModelSchema({"a": ("F32", (_COUNT,)), "n": ("I64", ())})


def _update(value: float = 1.0, *, bad_at: int | None = None) -> bytes:
    values = np.full(_COUNT, value, np.float32)
    if bad_at is not None:
        values[bad_at] = np.nan
    return encode_header(list(_SCHEMA)) + values.tobytes() + bytes(8)


_UPDATE = _update()
_TOTAL = len(_UPDATE)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _files(spool: Spool) -> set[str]:
    folder = spool.folder
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "updates")


def _open(
    spool: Spool, update_id: str = "u1", client: str = "site-1", number: int = 7
) -> SpoolFile:
    return spool.open(number, client, update_id, _TOTAL, _SCHEMA)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("portion", [997, 1 << 16, 1 << 20])
def test_an_update_is_received_and_committed(spool: Spool, durable: bool, portion: int) -> None:
    file = _open(spool)
    file.write_many(_UPDATE[i : i + portion] for i in range(0, _TOTAL, portion))
    path = file.commit(_sha(_UPDATE).upper(), durable)
    assert path == spool.path(7, "site-1") == spool.folder / "round_0007/site-1.safetensors"
    assert path.read_bytes() == _UPDATE
    assert _files(spool) == {"round_0007/site-1.safetensors"}


def test_the_same_update_goes_on_where_it_was(spool: Spool) -> None:
    file = _open(spool)
    file.write(_UPDATE[:1000])
    file.write(memoryview(_UPDATE)[1000:70_000])
    file.close()
    again = _open(Spool(spool.folder))
    assert again.offset == 70_000
    again.write(_UPDATE[70_000:])
    assert again.commit(_sha(_UPDATE)).read_bytes() == _UPDATE


def test_what_one_client_sent_for_a_round_is_discarded_and_no_more(spool: Spool) -> None:
    for client in ("site-1", "site-2"):
        file = _open(spool, client=client)
        file.write(_UPDATE)
        file.commit(_sha(_UPDATE))
    begun = _open(spool, "u2")
    begun.write(_UPDATE[:1000])
    begun.close()
    spool.discard(7, "site-1")
    spool.discard(7, "site-1")  # nothing is there any more
    assert _files(spool) == {"round_0007/site-2.safetensors"}
    assert _open(spool, "u2").offset == 0


@pytest.mark.parametrize("part", [3, 8, 20, 100])
def test_it_goes_on_from_inside_the_header_too(spool: Spool, part: int) -> None:
    file = _open(spool)
    file.write(_UPDATE[:part])
    file.close()
    again = _open(spool)
    assert again.offset == part
    again.write(_UPDATE[part:])
    again.commit(_sha(_UPDATE))


def test_another_update_of_the_client_begins_anew(spool: Spool) -> None:
    file = _open(spool, "u1")
    file.write(_UPDATE[:70_000])
    file.close()
    other = _update(2.0)
    again = _open(spool, "u2")
    assert again.offset == 0
    again.write(other)
    assert again.commit(_sha(other)).read_bytes() == other


def test_bytes_without_a_record_are_not_counted(spool: Spool) -> None:
    """A crash between writing bytes and noting them: they are sent again."""
    file = _open(spool)
    file.write(_UPDATE[:1000])
    part = spool.folder / "round_0007" / "site-1.part"
    file.close()
    with part.open("ab") as tail:
        tail.write(_UPDATE[1000:3000])
    again = _open(spool)
    assert again.offset == 1000


def test_a_part_that_a_crash_of_the_machine_tore_begins_anew(spool: Spool) -> None:
    file = _open(spool)
    file.write(_UPDATE[:1000])
    file.close()
    (spool.folder / "round_0007" / "site-1.part").write_bytes(bytes(1000))
    again = _open(spool)
    assert again.offset == 0
    again.write(_UPDATE)
    again.commit(_sha(_UPDATE))


@pytest.mark.parametrize("record", [b"", b"{}", b"\xff" * 200, b'{"update_id": "u1"'])
def test_a_torn_record_begins_anew(spool: Spool, record: bytes) -> None:
    file = _open(spool)
    file.write(_UPDATE[:1000])
    file.close()
    (spool.folder / "round_0007" / "site-1.part.json").write_bytes(record)
    assert _open(spool).offset == 0


def test_other_bytes_than_announced_are_refused_and_gone(spool: Spool) -> None:
    file = _open(spool)
    file.write(_UPDATE)
    with pytest.raises(DigestError, match="sha256") as caught:
        file.commit(_sha(b"something else"))
    assert caught.value.reason == "DIGEST"
    assert _files(spool) == set()


def test_too_few_bytes_are_refused_and_gone(spool: Spool) -> None:
    file = _open(spool)
    file.write(_UPDATE[:-1])
    with pytest.raises(DigestError, match=f"{_TOTAL - 1} of {_TOTAL}"):
        file.commit(_sha(_UPDATE[:-1]))
    assert _files(spool) == set()


def test_a_byte_too_many_is_refused(spool: Spool) -> None:
    file = _open(spool)
    file.write(_UPDATE)
    with pytest.raises(FormatError, match="more came"):
        file.write(b"x")
    file.discard()


@pytest.mark.parametrize("total", [0, 8, _SCHEMA.data_bytes, 1 << 40, -1])
def test_an_impossible_size_is_refused_before_anything_is_stored(spool: Spool, total: int) -> None:
    with pytest.raises(FormatError, match=f"announced with {total} bytes"):
        spool.open(7, "site-1", "u", total, _SCHEMA)
    assert _files(spool) == set()


def test_nan_is_refused_as_soon_as_it_comes(spool: Spool) -> None:
    bad = _update(bad_at=10)
    file = _open(spool)
    with pytest.raises(NonFiniteError, match="'a'"):
        file.write(bad[:10_000])
    file.discard()
    assert _files(spool) == set()


def test_another_schema_is_refused_with_the_header(spool: Spool) -> None:
    header = encode_header([("a", "F32", (_COUNT + 2,))])
    file = spool.open(7, "site-1", "u", len(header) + 4 * (_COUNT + 2), _SCHEMA)
    with pytest.raises(SchemaMismatchError, match="expected F32"):
        file.write(header)
    file.discard()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\\b", "a\0b", ".hidden"])
def test_a_client_name_that_is_no_file_name_is_refused(spool: Spool, name: str) -> None:
    with pytest.raises(StorageError, match="is no file name"):
        _open(spool, client=name)
    with pytest.raises(StorageError, match="is no file name"):
        spool.path(0, name)


def test_clients_and_rounds_do_not_meet(spool: Spool) -> None:
    files = [
        _open(spool, client=client, number=number)
        for client in ("site-1", "site-1.part", "site-1.part.json", "site.1")
        for number in (7, 10_007)
    ]
    for file in files:
        file.write(_UPDATE)
    assert len({file.commit(_sha(_UPDATE)) for file in files}) == 8


def test_files_of_a_past_round_serve_the_next(spool: Spool) -> None:
    file = _open(spool)
    file.write(_UPDATE)
    inode = file.commit(_sha(_UPDATE)).stat().st_ino
    spool.delete_round(7)
    assert spool.rounds() == []
    other = _update(3.0)
    file = _open(Spool(spool.folder), number=8)
    assert file.offset == 0
    file.write(other[:100])
    file.close()
    assert _open(spool, number=8).offset == 100  # and not what the old file holds
    file = _open(spool, number=8)
    file.write(other[100:])
    path = file.commit(_sha(other))
    assert path.stat().st_ino == inode
    assert path.read_bytes() == other


def test_only_so_many_files_are_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "updates", free_files=2)
    for client in ("a", "b", "c", "d"):
        file = _open(spool, client=client)
        file.write(_UPDATE)
        file.commit(_sha(_UPDATE))
    spool.delete_round(7)
    assert len(_files(spool)) == 2
    spool.close()
    assert _files(spool) == set()


def test_a_kept_file_that_is_much_too_large_is_not_used(spool: Spool) -> None:
    (spool.folder / "free" / "000001").write_bytes(bytes(3 * _TOTAL))
    file = _open(Spool(spool.folder))
    file.close()
    assert (spool.folder / "round_0007" / "site-1.part").stat().st_size == 0


def test_what_a_crash_left_of_other_rounds_is_removed(spool: Spool) -> None:
    for number in (3, 4, 5):
        _open(spool, number=number).write(_UPDATE[:500])
    spool.keep_only([4])
    assert spool.rounds() == [4]
    assert _open(spool, number=4).offset == 500
    spool.delete_round(99)


def test_a_full_disk_is_said_and_the_update_goes_on_after(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _open(spool)
    file.write(_UPDATE[:1000])

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(DiskFullError, match=r"site-1\.part"):
            file.write(_UPDATE[1000:2000])
    assert file.offset == 1000
    file.write(_UPDATE[1000:])
    file.commit(_sha(_UPDATE))
