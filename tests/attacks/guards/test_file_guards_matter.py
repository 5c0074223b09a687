# SPDX-License-Identifier: Apache-2.0
"""The strict reading of safetensors, and the digest, replaced: then bad bytes are an update."""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmar_runner.errors import DigestError, FormatError
from mmar_runner.server.calls import announcement
from mmar_runner.storage import spool as spools
from mmar_runner.storage import update_check
from mmar_runner.storage.header import Header, TensorInfo, spans_of
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import LENGTH_BYTES, MAX_HEADER_BYTES, encode_header
from mmar_runner.storage.spool import Spool
from mmar_runner.storage.spool_file import SpoolFile
from mmar_runner.storage.update_check import check_update
from mmar_runner.wire.messages import UpdateBegin

SCHEMA = ModelSchema({"v": ("F32", (2,)), "w": ("F32", (2,))})
DATA = bytes(16)


def file(text: str, data: bytes = DATA) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + data


def entry(name: str, start: int) -> str:
    described = {"dtype": "F32", "shape": [2], "data_offsets": [start, start + 8]}
    return f"{json.dumps(name)}: {json.dumps(described)}"


def lax_size(first8: bytes, *, limit: int = MAX_HEADER_BYTES) -> int:
    """Believe whatever length a header says it has."""
    return LENGTH_BYTES + int(struct.unpack("<Q", first8)[0])


def lax_parse(raw: bytes, *, file_size: int, limit: int = MAX_HEADER_BYTES) -> Header:
    """Read a header as a careless library does: the last of two counts, holes are skipped."""
    read = json.loads(raw[LENGTH_BYTES:])
    tensors = [
        TensorInfo(name, one["dtype"], tuple(one["shape"]), *one["data_offsets"])
        for name, one in read.items()
    ]
    by_name = {tensor.name: tensor for tensor in tensors}
    return Header(by_name, {}, len(raw), file_size, spans_of(tensors))


HONEST = f"{{{entry('v', 0)}, {entry('w', 8)}}}"
EVIL = {
    "twice": (file(f"{{{entry('w', 0)}, {entry('v', 0)}, {entry('w', 8)}}}"), "twice"),
    "hole": (file(f"{{{entry('v', 0)}, {entry('w', 12)}}}", bytes(20)), "a hole"),
    "overlap": (file(f"{{{entry('v', 0)}, {entry('w', 4)}}}"), "an overlap"),
    "behind": (file(HONEST, DATA + b"evil"), "the file holds 20"),
    "header": (file(HONEST + " " * SCHEMA.header_limit), "accepted are 2 to"),
}


@pytest.mark.parametrize("attack", EVIL)
def test_b08_the_strict_reading_of_a_header(monkeypatch: pytest.MonkeyPatch, attack: str) -> None:
    evil, words = EVIL[attack]
    check_update(file(HONEST), SCHEMA)
    with pytest.raises(FormatError, match=words) as error:
        check_update(evil, SCHEMA)
    assert error.value.reason == "FORMAT"
    monkeypatch.setattr(update_check, "header_size", lax_size)
    monkeypatch.setattr(update_check, "parse_header", lax_parse)
    check_update(evil, SCHEMA)


class Believing(SpoolFile):
    """Takes whatever came for what was announced."""

    def commit(self, sha256: str, durable: bool = False) -> Path:
        return super().commit(self.sha256(), durable)


def test_b10_the_digest_of_what_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announced = encode_header(list(SCHEMA)) + DATA
    came = announced[:-1] + b"\1"

    def commit() -> Path:
        spool = Spool(tmp_path / "updates")
        part = spool.open(0, "site-1", "u", len(announced), SCHEMA)
        part.write(came)
        return part.commit(sha256(announced).hexdigest())

    with pytest.raises(DigestError) as error:
        commit()
    assert error.value.reason == "DIGEST"
    assert not list((tmp_path / "updates").rglob("*.safetensors"))
    monkeypatch.setattr(spools, "SpoolFile", Believing)
    assert commit().read_bytes() == came


def test_b10_the_digest_of_what_came_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    announced = encode_header(list(SCHEMA)) + DATA
    begin = UpdateBegin(inline=announced[:-1] + b"\1", total_bytes=len(announced))
    begin.sha256 = sha256(announced).hexdigest()
    with pytest.raises(DigestError):
        announcement.check_inline(begin, SCHEMA)
    believed = SimpleNamespace(hexdigest=lambda: begin.sha256)
    monkeypatch.setattr(announcement, "sha256", lambda _data: believed)
    announcement.check_inline(begin, SCHEMA)
