# SPDX-License-Identifier: Apache-2.0
"""Serialisation of the administrator's streams: packages that come, files that go.

Chunks are framed by hand, as in `mmar_runner.wire.codec`.
"""

from __future__ import annotations

from typing import TypeAlias

from mmar_runner.wire.codec import Chunk, FramedBuffer, chunk_or, frame_chunk, inside
from mmar_runner.wire.messages import (
    DownloadHeader,
    DownloadPart,
    UploadBegin,
    UploadCommit,
    UploadCredit,
    UploadPart,
    UploadReady,
    UploadReceipt,
    UploadReply,
)

UploadItem: TypeAlias = UploadBegin | UploadCommit | Chunk
UploadAnswer: TypeAlias = UploadReady | UploadCredit | UploadReceipt
DownloadItem: TypeAlias = DownloadHeader | Chunk
SentDownloadItem: TypeAlias = DownloadItem | FramedBuffer


def encode_upload_part(item: UploadItem) -> bytes:
    """Encode one message of Upload's request."""
    match item:
        case UploadBegin():
            return UploadPart(begin=item).SerializeToString()
        case UploadCommit():
            return UploadPart(commit=item).SerializeToString()
        case _:
            return frame_chunk(item)


def decode_upload_part(message: bytes) -> UploadItem:
    """Decode one message of Upload's request.

    Raises:
        ProtocolError: It is none.
    """
    item: UploadItem = chunk_or(
        UploadPart, message, "a part of a package is none of begin, data and commit"
    )
    return item


def encode_upload_reply(item: UploadAnswer) -> bytes:
    """Encode one message of Upload's answer."""
    match item:
        case UploadReady():
            return UploadReply(ready=item).SerializeToString()
        case UploadCredit():
            return UploadReply(credit=item).SerializeToString()
        case _:
            return UploadReply(receipt=item).SerializeToString()


def decode_upload_reply(message: bytes) -> UploadAnswer:
    """Decode one message of Upload's answer.

    Raises:
        ProtocolError: It is none.
    """
    item: UploadAnswer = inside(
        UploadReply, message, "an answer to a package is none of ready, credit, receipt"
    )
    return item


def encode_download_part(item: SentDownloadItem) -> bytes:
    """Encode one message of Download's answer."""
    if isinstance(item, FramedBuffer):
        return bytes(item.frame)
    if isinstance(item, DownloadHeader):
        return DownloadPart(header=item).SerializeToString()
    return frame_chunk(item)


def decode_download_part(message: bytes) -> DownloadItem:
    """Decode one message of Download's answer.

    Raises:
        ProtocolError: It is none.
    """
    item: DownloadItem = chunk_or(
        DownloadPart, message, "a part of a file is neither a header nor data"
    )
    return item
