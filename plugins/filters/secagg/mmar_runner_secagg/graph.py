# SPDX-License-Identifier: Apache-2.0
"""Which clients are neighbours: a Harary graph over a shuffled ring (Bell et al. 2020)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def neighbours(names: Sequence[str], degree: int, seed: bytes) -> dict[str, tuple[str, ...]]:
    """Return everybody's neighbours, sorted; being one is mutual.

    Args:
        names: The clients, in any order.
        degree: How many neighbours each has: even, or one less than there are clients.
        seed: Shuffles the ring. Whoever knows it beforehand could choose places on the ring:
            it is drawn for each round by the server.

    Raises:
        ValueError: There is no such graph.
    """
    clients = sorted(names)
    if degree >= len(clients) - 1:
        return {name: tuple(other for other in clients if other != name) for name in clients}
    if degree < 2 or degree % 2:  # noqa: PLR2004 - a ring's
        raise ValueError(f"no ring of {len(clients)} clients has {degree} neighbours each")
    ring = sorted(clients, key=lambda name: hashlib.sha256(seed + name.encode()).digest())
    half = degree // 2
    near = [*range(-half, 0), *range(1, half + 1)]
    return {
        name: tuple(sorted(ring[(place + step) % len(ring)] for step in near))
        for place, name in enumerate(ring)
    }
