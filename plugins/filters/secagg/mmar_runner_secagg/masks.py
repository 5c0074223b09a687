# SPDX-License-Identifier: Apache-2.0
"""Masks: the keystream of ChaCha20 (RFC 8439), read as unsigned integers.

Every tensor has a key of its own, derived from the mask's seed and the tensor's name, and the
n-th element of a tensor is always the same part of its stream: any block can be made by itself,
whatever was made before it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

#: Bits of the integers in which sums are made.
Bits = Literal[32, 64]

#: Bytes of one block of ChaCha20.
_CIPHER_BLOCK: Final = 64
_NONCE: Final = bytes(12)
#: Elements for which masks are made at a time: stream, mask and sum stay in the cache.
STRIDE: Final = 32 * 1024
_ZEROS: Final = bytes(STRIDE * 8 + _CIPHER_BLOCK)


class Mask:
    """One mask of a whole model.

    Args:
        seed: 32 bytes.
        bits: Of an element.
    """

    def __init__(self, seed: bytes, bits: Bits) -> None:
        self._seed = seed
        self._dtype: np.dtype[Any] = np.dtype("<u4" if bits == 32 else "<u8")  # noqa: PLR2004
        self._name: str | None = None
        self._key = b""

    def block(self, name: str, start: int, count: int) -> npt.NDArray[Any]:
        """Return some elements of a tensor's mask.

        Args:
            name: The tensor.
            start: The first element.
            count: How many.
        """
        if name != self._name:
            self._key = hmac.digest(self._seed, name.encode(), hashlib.sha256)
            self._name = name
        itemsize = self._dtype.itemsize
        block, skipped = divmod(start * itemsize, _CIPHER_BLOCK)
        counter = block.to_bytes(4, "little")
        cipher = Cipher(ChaCha20(self._key, counter + _NONCE), mode=None).encryptor()
        size = count * itemsize
        zeros = _ZEROS if skipped + size <= len(_ZEROS) else bytes(skipped + size)
        stream = cipher.update(memoryview(zeros)[: skipped + size])
        return np.frombuffer(stream, self._dtype, count, skipped)


def add_masks(
    numbers: npt.NDArray[Any], name: str, start: int, masks: Sequence[tuple[int, Mask]]
) -> None:
    """Add masks to a block, in place; what is beyond the integers' range wraps around.

    Args:
        numbers: Unsigned integers, shape ``[block]``.
        name: Their tensor.
        start: Where in the tensor the block begins, in elements.
        masks: Each with +1 or -1.
    """
    for begin in range(0, numbers.size, STRIDE):
        part = numbers[begin : begin + STRIDE]
        for sign, mask in masks:
            stream = mask.block(name, start + begin, part.size)
            if sign > 0:
                np.add(part, stream, out=part)
            else:
                np.subtract(part, stream, out=part)
