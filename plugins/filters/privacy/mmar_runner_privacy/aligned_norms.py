# SPDX-License-Identifier: Apache-2.0
"""Norms of several updates, summed in strides that are aligned to each tensor's elements.

Whatever blocks a tensor comes in, the same numbers are added in the same order.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_STRIDE: Final = 8192


class AlignedNorms:
    """The L2 norm of each update over all its tensors, and a digest of what was seen.

    Args:
        clients: How many updates there are.
    """

    def __init__(self, clients: int) -> None:
        self._buffer = np.empty((clients, _STRIDE))
        self._filled = 0
        self._name: str | None = None
        self._squares = np.zeros(clients)
        self._digests = [hashlib.sha256() for _ in range(clients)]

    def see(self, name: str, tensors: npt.NDArray[Any]) -> None:
        """Add the next block ``[clients, block]`` of a tensor."""
        if name != self._name:
            self._flush()
            self._name = name
            for digest in self._digests:
                digest.update(f"{name}\n".encode())
        start = 0
        while start < tensors.shape[1]:
            count = min(_STRIDE - self._filled, tensors.shape[1] - start)
            part = tensors[:, start : start + count]
            self._buffer[:, self._filled : self._filled + count] = part
            self._filled += count
            start += count
            if self._filled == _STRIDE:
                self._flush()

    def norms(self) -> npt.NDArray[np.float64]:
        """Return the norms, after the last block."""
        self._flush()
        return np.sqrt(self._squares)

    def digest(self) -> bytes:
        """Return what other updates do not have, in whatever order they come.

        It is one of every stride's sums, which is cheaper than one of all bytes.
        """
        self._flush()
        return hashlib.sha256(b"".join(sorted(d.digest() for d in self._digests))).digest()

    def _flush(self) -> None:
        if not self._filled:
            return
        rows = np.ascontiguousarray(self._buffer[:, : self._filled])
        squares = np.square(rows).sum(axis=1)
        sums = rows.sum(axis=1)
        for digest, *of_one in zip(self._digests, sums, squares, strict=True):
            digest.update(np.array(of_one).tobytes())
        self._squares += squares
        self._filled = 0
