# SPDX-License-Identifier: Apache-2.0
"""Chunks that are compressed by themselves: they come back, or are refused."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.errors import ProtocolError, UsageError
from mmar_runner.wire import codec, packing
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.packing import Packed, on_wire, pack, packer, unpack


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_chunk_comes_back_and_stands_for_as_many_bytes(kind: type) -> None:
    chunk = b"0123456789" * 1000
    item = pack(kind(chunk))
    assert isinstance(item, Packed)
    assert len(item) == len(chunk) > 10 * on_wire(item)
    for decoded in (
        codec.decode_update_part(codec.encode_update_part(item)),
        codec.decode_model_part(codec.encode_model_part(item)),
    ):
        assert decoded == item
        assert unpack(decoded) == chunk


def test_what_saves_too_little_is_sent_as_it_is() -> None:
    chunk = os.urandom(10_000)
    assert pack(chunk) is chunk
    assert unpack(chunk) is chunk
    assert on_wire(chunk) == 10_000


def test_without_an_agreement_nothing_is_compressed() -> None:
    assert packer("")(bytes(1000)) == bytes(1000)
    assert isinstance(packer("zstd")(bytes(1000)), Packed)


def test_many_threads_compress_at_once() -> None:
    chunks = [bytes([number]) * 50_000 + os.urandom(100) for number in range(64)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda chunk: unpack(pack(chunk)), chunks)) == chunks


def outcome(item: Packed) -> int | str:
    """Return how many bytes are unpacked, or why none are."""
    try:
        return len(unpack(item))
    except ProtocolError as error:
        return error.reason


@given(st.integers(0, 2 * CHUNK_BYTES), st.binary(max_size=200))
def test_any_bytes_are_unpacked_to_what_was_announced_or_refused(raw: int, data: bytes) -> None:
    assert outcome(Packed(raw, data)) in {raw, "COMPRESSION"}


@given(st.data())
def test_a_frame_of_which_a_byte_was_changed_gives_no_other_length(data: st.DataObject) -> None:
    frame = bytearray(zstandard.ZstdCompressor().compress(b"abc" * 500))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(Packed(1500, bytes(frame))) in {1500, "COMPRESSION"}


def test_who_lacks_the_library_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    packing.require_compression("zstd")
    assert packing.compressions() == ("zstd",)
    monkeypatch.setattr(packing, "find_spec", lambda _: None)
    assert packing.compressions() == ()
    packing.require_compression("none")
    with pytest.raises(UsageError) as error:
        packing.require_compression("zstd")
    assert (error.value.reason, error.value.hint) == ("COMPRESSION", packing.MEND)
