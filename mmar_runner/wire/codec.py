# SPDX-License-Identifier: Apache-2.0
"""Serialisation of the streams that carry models and packages.

``ModelPart``, ``UpdatePart`` and ``PackagePart`` are ordinary protocol buffer messages, and their
``data`` has field number 2 in each. Building a message around a chunk copies it
twice before gRPC copies it again; a chunk is therefore framed by hand (tag, length,
bytes), which is the same encoding, and is read back as a view of what arrived.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from mmar_runner.errors import ProtocolError
from mmar_runner.wire.messages import (
    ModelHeader,
    ModelPart,
    PackageHeader,
    PackagePart,
    PackedChunk,
    TaskFailure,
    UpdateBegin,
    UpdateCommit,
    UpdateCredit,
    UpdatePart,
    UpdateReady,
    UpdateReceipt,
    UpdateReply,
)
from mmar_runner.wire.packing import Packed

Chunk: TypeAlias = bytes | bytearray | memoryview
UpdateItem: TypeAlias = UpdateBegin | UpdateCommit | TaskFailure | Chunk | Packed
ReplyItem: TypeAlias = UpdateReady | UpdateCredit | UpdateReceipt

_Message = TypeVar("_Message", bound=Message)


class FramedBuffer:
    """A reusable chunk that is framed already: a file is read straight into it.

    Args:
        size: Bytes of the chunk; it is always sent whole.
    """

    __slots__ = ("frame", "payload")

    def __init__(self, size: int) -> None:
        prefix = _prefix(size)
        self.frame = bytearray(len(prefix) + size)
        self.frame[: len(prefix)] = prefix
        self.payload = memoryview(self.frame)[len(prefix) :]


ModelItem: TypeAlias = ModelHeader | Chunk | Packed
SentModelItem: TypeAlias = ModelItem | FramedBuffer
PackageItem: TypeAlias = PackageHeader | Chunk
SentPackageItem: TypeAlias = PackageItem | FramedBuffer

_DATA_TAG: Final = 0x12  # field 2, length-delimited
_DATA: Final = bytes((_DATA_TAG,))
_VARINT_LOW: Final = 0x7F  # the seven bits that a byte of a varint carries
_VARINT_BYTES: Final = 5  # enough for any 32-bit length


def frame_chunk(chunk: Chunk) -> bytes:
    """Return a chunk as an encoded message whose only field is ``data``."""
    return b"".join((_prefix(len(chunk)), chunk))


def unframe_chunk(message: bytes) -> memoryview:
    """Return the chunk inside a framed message, without copying it."""
    length = shift = 0
    for position in range(1, min(len(message), 1 + _VARINT_BYTES)):
        byte = message[position]
        length |= (byte & _VARINT_LOW) << shift
        if byte <= _VARINT_LOW:  # the last byte of a varint
            if position + 1 + length != len(message):
                break
            return memoryview(message)[position + 1 :]
        shift += 7
    msg = "a chunk's length does not fit its message"
    raise ProtocolError(msg)


def encode_model_part(item: SentModelItem) -> bytes:
    """Encode one message of GetModel's answer."""
    if isinstance(item, FramedBuffer):
        return bytes(item.frame)
    if isinstance(item, ModelHeader):
        return ModelPart(header=item).SerializeToString()
    if isinstance(item, Packed):
        return ModelPart(packed=_packed(item)).SerializeToString()
    return frame_chunk(item)


def decode_model_part(message: bytes) -> ModelItem:
    """Decode one message of GetModel's answer."""
    item: ModelItem = chunk_or(ModelPart, message, "a part of a model is neither a header nor data")
    return item


def encode_package_part(item: SentPackageItem) -> bytes:
    """Encode one message of GetPackage's answer."""
    if isinstance(item, FramedBuffer):
        return bytes(item.frame)
    if isinstance(item, PackageHeader):
        return PackagePart(header=item).SerializeToString()
    return frame_chunk(item)


def decode_package_part(message: bytes) -> PackageItem:
    """Decode one message of GetPackage's answer."""
    item: PackageItem = chunk_or(
        PackagePart, message, "a part of a package is neither a header nor data"
    )
    return item


def encode_update_part(item: UpdateItem) -> bytes:
    """Encode one message of SubmitUpdate's request."""
    match item:
        case UpdateBegin():
            return UpdatePart(begin=item).SerializeToString()
        case UpdateCommit():
            return UpdatePart(commit=item).SerializeToString()
        case TaskFailure():
            return UpdatePart(failure=item).SerializeToString()
        case Packed():
            return UpdatePart(packed=_packed(item)).SerializeToString()
        case _:
            return frame_chunk(item)


def decode_update_part(message: bytes) -> UpdateItem:
    """Decode one message of SubmitUpdate's request."""
    otherwise = "a part of an update is none of begin, data, commit and failure"
    item: UpdateItem = chunk_or(UpdatePart, message, otherwise)
    return item


def encode_reply(item: ReplyItem) -> bytes:
    """Encode one message of SubmitUpdate's answer."""
    match item:
        case UpdateReady():
            return UpdateReply(ready=item).SerializeToString()
        case UpdateCredit():
            return UpdateReply(credit=item).SerializeToString()
        case _:
            return UpdateReply(receipt=item).SerializeToString()


def decode_reply(message: bytes) -> ReplyItem:
    """Decode one message of SubmitUpdate's answer."""
    item: ReplyItem = inside(
        UpdateReply, message, "an answer to an update is none of ready, credit, receipt"
    )
    return item


def chunk_or(kind: type[Message], message: bytes, otherwise: str) -> Any:
    """Return the chunk in a message, as a view, or whatever else it holds.

    Raises:
        ProtocolError: It holds nothing that is known; or it is no message of that kind.
    """
    if message[:1] == _DATA:
        return unframe_chunk(message)
    return inside(kind, message, otherwise)


def inside(kind: type[Message], message: bytes, otherwise: str) -> Any:
    """Return the one thing that a message holds, of those of which it can hold one.

    Raises:
        ProtocolError: It holds nothing that is known; or it is no message of that kind.
    """
    whole = parse(kind, message)
    name = whole.WhichOneof(kind.DESCRIPTOR.oneofs[0].name)
    if name in {None, "data"}:  # what is framed otherwise than a chunk is none
        raise ProtocolError(otherwise)
    item = getattr(whole, name)
    return Packed(item.raw_bytes, item.data) if isinstance(item, PackedChunk) else item


def _packed(item: Packed) -> PackedChunk:
    return PackedChunk(raw_bytes=item.raw_bytes, data=item.data)


def parse(kind: type[_Message], message: bytes) -> _Message:
    """Return a message of a kind.

    Raises:
        ProtocolError: The bytes are none.
    """
    try:
        return kind.FromString(message)
    except DecodeError as error:
        text = f"a message is not a {kind.DESCRIPTOR.name}"
        raise ProtocolError(text) from error


def _prefix(length: int) -> bytes:
    prefix = bytearray((_DATA_TAG,))
    while length > _VARINT_LOW:
        prefix.append(length & _VARINT_LOW | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix)
