# SPDX-License-Identifier: Apache-2.0
"""Every hostile file is refused, soon, in one sentence, and by every reader."""

from __future__ import annotations

import runpy
import time
import tracemalloc
from pathlib import Path

import pytest

from mmar_runner.errors import FormatError, SchemaMismatchError
from mmar_runner.storage.safetensors_format import (
    ModelSchema,
    encode_header,
    parse_header,
    read_header,
)
from mmar_runner.storage.spool import Spool
from mmar_runner.storage.update_check import UpdateCheck, check_update

_GENERATOR = Path(__file__).parents[2] / "assets" / "hostile_safetensors" / "generate.py"
_FILES: dict[str, bytes] = runpy.run_path(str(_GENERATOR))["hostile_files"]()
_SCHEMA = ModelSchema({"a": ("F32", (2,))})
_HONEST = encode_header([("a", "F32", (2,))]) + bytes(8)

defect = pytest.mark.parametrize("defect", sorted(_FILES))


def test_the_honest_file_is_accepted(tmp_path: Path) -> None:
    check_update(_HONEST, _SCHEMA)
    path = tmp_path / "a.safetensors"
    path.write_bytes(_HONEST)
    assert list(read_header(path).tensors) == ["a"]


@defect
def test_parsing_refuses_it_soon_and_without_memory(defect: str) -> None:
    raw = _FILES[defect]
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(FormatError) as refused:
        parse_header(raw, file_size=len(raw), limit=_SCHEMA.header_limit)
    seconds = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5
    assert peak < 64 * 1024 * 1024
    assert refused.value.reason == "FORMAT"
    assert len(refused.value.message) < 400
    assert refused.value.message.isprintable()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@defect
def test_a_file_of_it_is_refused_under_its_name(defect: str, folder: Path) -> None:
    path = folder / f"{defect}.safetensors"
    path.write_bytes(_FILES[defect])
    with pytest.raises(FormatError, match=defect):
        read_header(path, limit=_SCHEMA.header_limit)


def _stream(raw: bytes, portion: int) -> None:
    check = UpdateCheck(_SCHEMA, len(raw))
    for start in range(0, len(raw), portion):
        check.feed(raw[start : start + portion])
        assert start < 20_000, "a fault of the header was not seen with the header"
    parse_header(raw, file_size=len(raw), limit=_SCHEMA.header_limit)  # it was cut short


@defect
def test_streaming_refuses_it_with_its_header_whatever_the_portions(defect: str) -> None:
    for portion in (1, 7, 4096):
        with pytest.raises((FormatError, SchemaMismatchError)):
            _stream(_FILES[defect], portion)


def _spool(spool: Spool, raw: bytes) -> None:
    file = spool.open(0, "site-1", "id", len(raw), _SCHEMA)
    try:
        file.write(raw)
        check_update(raw, _SCHEMA)
    finally:
        file.discard()


@defect
def test_the_spool_keeps_nothing_of_it(defect: str, folder: Path) -> None:
    spool = Spool(folder / "updates")
    with pytest.raises((FormatError, SchemaMismatchError)):
        _spool(spool, _FILES[defect])
    left = [path for path in spool.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) == 0
