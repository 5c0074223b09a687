# SPDX-License-Identifier: Apache-2.0
"""Random numbers that only the holder of a key can know, one for each element of a tensor.

The numbers are the bits of SHAKE-256 (FIPS 202), not those of a statistical generator, whose
state can be worked out from what it gave. Element i of a tensor has the same number however
the tensor is cut into blocks: the stream is made in strides that are aligned to the tensor.

Noise is floating-point noise: its lowest bits can tell of the value that it was added to
(Mironov, "On significance of the least significant bits for differential privacy", CCS 2012).
"""

from __future__ import annotations

import hmac
from hashlib import shake_256
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

#: Elements of one stride; a power of 2.
STRIDE: Final = 8192
_BITS: Final = 12  # of 64: half a unit is added to the other 52, which float64 holds exactly
_UNIT: Final = 2.0**-52


_Stride: TypeAlias = "Callable[[str, int, int], npt.NDArray[np.float64]]"


class Noise:
    """Numbers that depend on a key, a purpose, a tensor's name and a position.

    Args:
        key: 32 bytes.
        purpose: Two purposes give independent numbers.
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        self._key = hmac.digest(key, purpose.encode(), "sha256")
        # The stride that was cut last: the next small block is of the same one, as a rule.
        self._last: tuple[object, str, int] | None = None
        self._last_stride = np.empty(0)

    @property
    def name(self) -> str:
        """A name for the key, from which nobody can learn it."""
        return hmac.digest(self._key, b"name", "sha256").hex()

    def uniform(self, name: str, start: int, count: int) -> npt.NDArray[np.float64]:
        """Return numbers in (0, 1), both ends left out, for ``count`` elements from ``start``."""
        return self._cut(self._uniforms, name, start, count)

    def laplace(self, name: str, start: int, count: int, scale: float) -> npt.NDArray[np.float64]:
        """Return numbers of the Laplace distribution with mean 0: density exp(-|x|/b) / 2b.

        Args:
            name: The tensor.
            start: The first element.
            count: How many elements.
            scale: b.
        """
        numbers = self.uniform(name, start, count)
        return np.asarray(scale * laplace_quantile(numbers))

    def normal(
        self, name: str, start: int, count: int, deviation: float
    ) -> npt.NDArray[np.float64]:
        """Return numbers of the normal distribution with mean 0 and a standard deviation."""
        return np.asarray(deviation * self._cut(self._normals, name, start, count))

    def _cut(self, stride: _Stride, name: str, start: int, count: int) -> npt.NDArray[np.float64]:
        first, last = start // STRIDE, -(-(start + count) // STRIDE)
        if first == last:
            return np.empty(0)
        begin = start - first * STRIDE
        whole = [
            self._kept(stride, name, index, min(STRIDE, begin + count - (index - first) * STRIDE))
            for index in range(first, last)
        ]
        if len(whole) == 1:
            return whole[0][begin : begin + count]
        return np.concatenate(whole)[begin : begin + count]

    def _kept(self, stride: _Stride, name: str, index: int, least: int) -> npt.NDArray[np.float64]:
        """Return a stride, or a beginning of it with at least so many numbers.

        A longer beginning begins with the shorter one, so that small tensors cost little.
        """
        if self._last != (stride, name, index) or self._last_stride.size < least:
            length = min(STRIDE, 1 << max(6, (least - 1).bit_length()))
            self._last, self._last_stride = (stride, name, index), stride(name, index, length)
        return self._last_stride

    def _uniforms(self, name: str, index: int, length: int) -> npt.NDArray[np.float64]:
        text = f"{index}\n{name}".encode()
        raw = shake_256(self._key + text).digest(8 * length)
        return (np.frombuffer(raw, "<u8") >> _BITS).astype(np.float64) * _UNIT + _UNIT / 2

    def _normals(self, name: str, index: int, length: int) -> npt.NDArray[np.float64]:
        """Box and Muller: two uniform numbers give two normal ones."""
        pairs = self._uniforms(name, index, length).reshape(-1, 2)
        radius, angle = np.sqrt(-2 * np.log(pairs[:, 0])), 2 * np.pi * pairs[:, 1]
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


def laplace_quantile(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return which number of the Laplace distribution with scale 1 has a share below it."""
    tail = np.minimum(share, 1 - share)
    return np.asarray(-np.sign(share - 0.5) * np.log(2 * tail))


def laplace_above(bound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probability that such a number is at least as large as a bound."""
    tail = 0.5 * np.exp(-np.abs(bound))
    return np.where(bound > 0, tail, 1 - tail)
