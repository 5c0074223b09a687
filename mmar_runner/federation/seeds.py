# SPDX-License-Identifier: Apache-2.0
"""Seeds that depend on nothing but names and numbers."""

from __future__ import annotations

from hashlib import sha256


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Return a seed for one purpose, 0 <= seed < 2**63.

    The same arguments give the same seed on every machine, and a change of any part
    gives an unrelated one.

    Args:
        run_seed: The run's seed.
        parts: What it is for, such as a client's name and a round.
    """
    # With its length in front, no part can pass for the end of one and the start of another.
    text = "".join(f"{type(part).__name__}:{len(str(part))}:{part}," for part in (run_seed, *parts))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
