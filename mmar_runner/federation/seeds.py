# SPDX-License-Identifier: Apache-2.0
"""Seeds that depend on nothing but names and numbers."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Return a seed for one purpose, 0 <= seed < 2**63.

    The same arguments give the same seed on every machine, and a change of any part
    gives an unrelated one.

    Args:
        run_seed: The run's seed.
        parts: What it is for, such as a client's name and a round.
    """
    *before, last = (run_seed, *parts)
    return seeds_for(*before)(last)


def seeds_for(*parts: str | int) -> Callable[[str | int], int]:
    """Return what gives the seed of these parts and one more; for thousands, of clients say.

    Args:
        parts: As `derive_seed` takes them, the run's seed first.
    """
    begun = sha256("".join(map(_told_apart, parts)).encode())

    def seed(part: str | int) -> int:
        digest = begun.copy()
        digest.update(_told_apart(part).encode())
        return int.from_bytes(digest.digest()[:8], "big") >> 1

    return seed


def _told_apart(part: str | int) -> str:
    # With its length in front, no part can pass for the end of one and the start of another.
    if type(part) is str:  # asked for thousands of names in every round
        return f"str:{len(part)}:{part},"
    return f"{type(part).__name__}:{len(str(part))}:{part},"
