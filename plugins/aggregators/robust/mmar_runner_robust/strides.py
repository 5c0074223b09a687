# SPDX-License-Identifier: Apache-2.0
"""Sums over whole models, of which blocks come: squared distances and squared norms.

A sum in floating point depends on how it is cut. So the elements of all floating tensors, one
after another, are cut into strides of a fixed length, wherever blocks begin and end: what is
left of one block waits for the next. Within a stride numpy sums by pairs, strides are added one
after another, in float64, and no BLAS takes part, whose order depends on the machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Elements of a stride: those of a few clients stay in the processor's cache.
_STRIDE: Final = 2 * 1024


class Strided(ABC):
    """Collects blocks into strides.

    Args:
        clients: How many rows a block has.
    """

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self._waiting = np.empty((clients, _STRIDE), dtype=np.float64)
        self._scratch = np.empty((clients, _STRIDE), dtype=np.float64)
        self._there = 0

    def see(self, block: npt.NDArray[Any]) -> None:
        """Add a block, ``[clients, count]``."""
        start, count = 0, block.shape[1]
        while start < count:
            taken = min(_STRIDE - self._there, count - start)
            self._waiting[:, self._there : self._there + taken] = block[:, start : start + taken]
            self._there += taken
            start += taken
            if self._there == _STRIDE:
                self._flush()

    def _flush(self) -> None:
        if self._there:
            self._add(self._waiting[:, : self._there])
            self._there = 0

    @abstractmethod
    def found(self) -> npt.NDArray[np.float64]:
        """Return the sums; nothing is seen afterwards."""

    @abstractmethod
    def _add(self, stride: npt.NDArray[np.float64]) -> None:
        """Add a stride, ``[clients, elements]``."""


class SquaredDistances(Strided):
    """Squared Euclidean distances between all updates."""

    def __init__(self, clients: int) -> None:
        super().__init__(clients)
        self._sums = np.zeros((clients, clients), dtype=np.float64)

    def found(self) -> npt.NDArray[np.float64]:
        """Return them, ``[clients, clients]``; nothing is seen afterwards.

        A distance that float64 cannot hold is infinite.
        """
        self._flush()
        return self._sums + self._sums.T

    def _add(self, stride: npt.NDArray[np.float64]) -> None:
        for row in range(self.clients - 1):
            scratch = self._scratch[: self.clients - 1 - row, : stride.shape[1]]
            np.subtract(stride[row + 1 :], stride[row], out=scratch)
            np.multiply(scratch, scratch, out=scratch)
            self._sums[row, row + 1 :] += _sums(scratch)


class SquaredNorms(Strided):
    """Squared Euclidean norms of all updates."""

    def __init__(self, clients: int) -> None:
        super().__init__(clients)
        self._norms = np.zeros(clients, dtype=np.float64)

    def found(self) -> npt.NDArray[np.float64]:
        """Return them, ``[clients]``; nothing is seen afterwards."""
        self._flush()
        return self._norms

    def _add(self, stride: npt.NDArray[np.float64]) -> None:
        scratch = self._scratch[:, : stride.shape[1]]
        np.multiply(stride, stride, out=scratch)
        self._norms += _sums(scratch)


def _sums(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return every row's sum."""
    found: npt.NDArray[np.float64] = np.add.reduce(rows, axis=1)
    return found
