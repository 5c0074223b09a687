# SPDX-License-Identifier: Apache-2.0
"""The hand-made framing of chunks is the encoding that protocol buffers define."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.errors import ProtocolError
from mmar_runner.wire import codec
from mmar_runner.wire.messages import (
    ModelHeader,
    ModelPart,
    PackageHeader,
    PackagePart,
    TaskFailure,
    UpdateBegin,
    UpdateCommit,
    UpdateCredit,
    UpdatePart,
    UpdateReady,
    UpdateReceipt,
)


@given(st.binary(max_size=1 << 12))
def test_a_framed_chunk_is_what_protobuf_would_write(chunk: bytes) -> None:
    framed = codec.frame_chunk(chunk)
    assert framed == ModelPart(data=chunk).SerializeToString()
    assert framed == UpdatePart(data=chunk).SerializeToString()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 1 << 20])
def test_a_chunk_of_any_size_comes_back(size: int) -> None:
    chunk = bytes(index % 251 for index in range(size))
    for view in (chunk, bytearray(chunk), memoryview(chunk)):
        assert bytes(codec.unframe_chunk(codec.frame_chunk(view))) == chunk


@pytest.mark.parametrize("size", [1, 127, 128, 1 << 20])
def test_a_framed_buffer_is_sent_as_any_chunk(size: int) -> None:
    buffer = codec.FramedBuffer(size)
    for filler in (b"a", b"b"):  # it is used again and again
        buffer.payload[:] = filler * size
        assert codec.encode_model_part(buffer) == codec.frame_chunk(filler * size)


def test_the_parts_of_a_package_come_back() -> None:
    header = PackageHeader(name="job", digest="d", total_bytes=9, sha256="s", offset=3)
    encoded = codec.encode_package_part(header)
    assert PackagePart.FromString(encoded).header == header
    assert codec.decode_package_part(encoded) == header
    buffer = codec.FramedBuffer(4)
    buffer.payload[:] = b"abcd"
    for chunk in (b"abcd", buffer):
        encoded = codec.encode_package_part(chunk)
        assert PackagePart.FromString(encoded).data == b"abcd"
        assert bytes(codec.decode_package_part(encoded)) == b"abcd"


@pytest.mark.parametrize("message", [b"", b"\x12\x05abc", b"\xff", b"\x1a\x00"])
def test_what_is_no_part_of_a_package_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.decode_package_part(message)


def test_unframing_does_not_copy() -> None:
    framed = codec.frame_chunk(b"x" * 1000)
    assert codec.unframe_chunk(framed).obj is framed


@pytest.mark.parametrize(
    "message",
    [b"\x12", b"\x12\x05abc", b"\x12\x02abc", b"\x12\xff\xff\xff\xff\xff\xff\x01a", b"\x12\x80"],
)
def test_a_chunk_whose_length_lies_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.decode_model_part(message)


@given(st.binary(max_size=64))
def test_any_bytes_either_decode_or_are_refused(message: bytes) -> None:
    for decode in (codec.decode_model_part, codec.decode_update_part, codec.decode_reply):
        try:
            decode(message)
        except ProtocolError:
            continue


def test_every_part_of_a_stream_comes_back() -> None:
    header = ModelHeader(round=3, total_bytes=7, sha256="ab", inline=b"1234567")
    assert codec.decode_model_part(codec.encode_model_part(header)) == header
    for item in (
        UpdateBegin(round=1, metrics={"loss": 0.5}),
        UpdateCommit(sha256="cd"),
        TaskFailure(round=2, reason="TASK_FAILED", message="why"),
    ):
        assert codec.decode_update_part(codec.encode_update_part(item)) == item
    for reply in (
        UpdateReady(offset=5, credits=8),
        UpdateCredit(credits=4),
        UpdateReceipt(round=1),
    ):
        assert codec.decode_reply(codec.encode_reply(reply)) == reply
