# SPDX-License-Identifier: Apache-2.0
"""Chunks that are compressed by themselves: no state is kept from one to the next.

Offsets, digests, credits and windows count raw bytes, so that a transfer that broke off goes on
wherever it was. What a frame says of itself is looked at before a byte of it is unpacked: it
can become neither more nor less than was announced, and that is never more than a chunk.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.errors import MmarRunnerError, ProtocolError, UsageError
from mmar_runner.storage.codec_names import NONE, ZSTD
from mmar_runner.wire.limits import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

#: How to get what `ZSTD` needs.
MEND: Final = "pip install 'mmar-runner[zstd]'"
#: The reason of every refusal here.
COMPRESSION: Final = "COMPRESSION"

#: zstd's fastest: what is sent is mostly numbers, of which more work saves hardly more.
_LEVEL: Final = 1
#: What compressing must save at least, as a part: less is not worth the unpacking.
_WORTH: Final = 16
_FRAME: Final = b"\x28\xb5\x2f\xfd"
_of_thread = threading.local()

Raw: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Packed:
    """One chunk, compressed. Its length is that of its content.

    Attributes:
        raw_bytes: How many bytes its content is announced to have.
        data: One zstd frame.
    """

    raw_bytes: int
    data: bytes

    def __len__(self) -> int:
        """Return how many bytes it stands for."""
        return self.raw_bytes


def compressions() -> tuple[str, ...]:
    """Return the compressions that can be used here, besides none."""
    return (ZSTD,) if find_spec("zstandard") is not None else ()


def require_compression(name: str) -> None:
    """Refuse to begin without the library that a compression needs.

    Raises:
        UsageError: COMPRESSION.
    """
    if name != NONE and name not in compressions():
        msg = f'"compression": "{name}" needs a library that is not installed here'
        raise UsageError(msg, hint=MEND, reason=COMPRESSION)


def packer(compression: str) -> Callable[[Raw], Raw | Packed]:
    """Return what prepares a chunk for its way; without compression it does nothing.

    Args:
        compression: What was agreed on; empty for none.
    """
    return pack if compression == ZSTD else _as_it_is


def pack(chunk: Raw) -> Raw | Packed:
    """Return a chunk compressed, or as it is if that saves too little. From any thread."""
    compressor = getattr(_of_thread, "compressor", None)
    if compressor is None:
        compressor = _of_thread.compressor = _zstandard().ZstdCompressor(level=_LEVEL)
    data = compressor.compress(chunk)
    return Packed(len(chunk), data) if len(data) <= len(chunk) - len(chunk) // _WORTH else chunk


def on_wire(item: Raw | Packed) -> int:
    """Return how many bytes a chunk has on its way."""
    return len(item.data) if isinstance(item, Packed) else len(item)


def check_packed(item: Packed) -> None:
    """Refuse a compressed chunk that announces what no chunk has.

    Raises:
        ProtocolError: COMPRESSION.
    """
    if not (0 < item.raw_bytes <= CHUNK_BYTES and 0 < len(item.data) <= CHUNK_BYTES):
        msg = f"a compressed chunk stands for 1 to {CHUNK_BYTES} bytes, and has no more itself"
        raise ProtocolError(msg, reason=COMPRESSION)


def unpack(item: Raw | Packed) -> Raw:
    """Return the content of a chunk, compressed or not. From any thread.

    Raises:
        ProtocolError: COMPRESSION, it is no frame whose content has the announced length, or
            something follows it.
    """
    if not isinstance(item, Packed):
        return item
    check_packed(item)
    zstandard = _zstandard()
    try:
        frame = zstandard.get_frame_parameters(item.data)
        sound = item.data[: len(_FRAME)] == _FRAME and not frame.dict_id
        # The library makes room for what the frame says: it must be what was announced.
        if sound and frame.content_size == item.raw_bytes:
            content: bytes = _decompressor().decompress(
                item.data, max_output_size=item.raw_bytes, allow_extra_data=False
            )
            if len(content) == item.raw_bytes:
                return content
    except zstandard.ZstdError as error:
        raise _no_frame(item) from error
    raise _no_frame(item)


def _no_frame(item: Packed) -> MmarRunnerError:
    msg = f"a compressed chunk is no zstd frame of {item.raw_bytes} bytes and nothing else"
    return ProtocolError(msg, reason=COMPRESSION)


def _as_it_is(chunk: Raw) -> Raw:
    return chunk


def _decompressor() -> Any:
    found = getattr(_of_thread, "decompressor", None)
    if found is None:
        found = _of_thread.decompressor = _zstandard().ZstdDecompressor()
    return found


@lru_cache(maxsize=1)
def _zstandard() -> Any:
    import zstandard  # noqa: PLC0415 - of the extra `zstd`

    return zstandard
