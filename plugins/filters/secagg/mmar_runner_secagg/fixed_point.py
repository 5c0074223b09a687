# SPDX-License-Identifier: Apache-2.0
"""Differences as whole numbers: what is summed under masks has to be exact.

A difference is clipped to [-clip, clip], multiplied by its client's weight in (0, 1] and rounded
to one of the whole numbers in [-L, L]. L is the largest for which the sum of all clients fits
into the integers, and at most 2**52, so that every step is exact in float64 but the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner_secagg.masks import Bits

_EXACT: Final = 1 << 52


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """How differences of one round are numbered.

    Attributes:
        bits: Of the integers.
        clip: The largest absolute value of a difference that is not changed; above 0.
        clients: How many numbers a sum may have.
    """

    bits: Bits
    clip: float
    clients: int

    @property
    def limit(self) -> int:
        """The largest whole number that stands for a difference."""
        most = int(((1 << (self.bits - 1)) - 1) // self.clients)
        return min(most, _EXACT)

    @property
    def step(self) -> float:
        """The difference of two neighbouring numbers, for a client of weight 1."""
        return self.clip / self.limit

    def encode(self, values: npt.NDArray[Any], weight: float = 1.0) -> npt.NDArray[Any]:
        """Return whole numbers for differences, as unsigned integers.

        Args:
            values: Differences, shape ``[block]``; finite.
            weight: Of the client, in (0, 1].
        """
        scaled = np.clip(values.astype(np.float64), -self.clip, self.clip)
        scaled *= weight / self.clip * self.limit
        np.clip(np.rint(scaled, out=scaled), -self.limit, self.limit, out=scaled)
        return scaled.astype(np.int64).astype(f"<u{self.bits // 8}")

    def decode(self, total: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the sum of the differences that a sum of whole numbers stands for.

        Args:
            total: Unsigned integers, shape ``[block]``.
        """
        signed = total.view(f"<i{self.bits // 8}").astype(np.float64)
        signed *= self.clip / self.limit
        return signed
