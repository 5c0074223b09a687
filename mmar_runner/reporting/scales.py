# SPDX-License-Identifier: Apache-2.0
"""From numbers to places on an axis, and the ticks that people expect there. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_FEW: Final = 1e-12  # below this share of its size, a difference is none


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis.

    Attributes:
        low: The number at its begin.
        high: The number at its end; larger.
        start: The place of its begin.
        end: The place of its end.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def widened(low: float, high: float) -> tuple[float, float]:
    """Return an interval with something in it around one that may hold one number only."""
    if high - low > _FEW * max(abs(low), abs(high)):
        return low, high
    around = abs(low) * 0.1 or 1.0
    return low - around, high + around


def ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    """Return round numbers within an interval.

    Args:
        low: Its begin.
        high: Its end; larger.
        about: How many are wanted.
        whole: Whether only whole numbers will do.
    """
    raw = (high - low) / max(1, about)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(one for one in _STEPS if one * size >= raw * (1 - _FEW)) * size
    step = max(1.0, float(math.ceil(step))) if whole else step
    first = math.ceil(low / step - _FEW)
    last = math.floor(high / step + _FEW)
    return [at * step for at in range(first, min(last, first + 4 * about) + 1)]


def rounded_out(low: float, high: float, about: int) -> tuple[float, float]:
    """Return an interval that begins and ends at ticks."""
    found = ticks(low, high, about)
    if len(found) < 2:  # noqa: PLR2004
        return low, high
    step = found[1] - found[0]
    return step * math.floor(low / step + _FEW), step * math.ceil(high / step - _FEW)


def short(value: float) -> str:
    """Return a number as it stands at a tick or in a table."""
    return f"{value:.4g}" if value else "0"
