# SPDX-License-Identifier: Apache-2.0
"""How many neighbours a client has, and how many of them can undo its masks.

Up to `SPARSE_FROM` clients everybody is bound to everybody (Bonawitz et al. 2017). Beyond that
the numbers are the smallest that hold the three conditions of Bell et al. 2020, section 3, for a
graph that is chosen at random; each is computed here, without an approximation, as the tail of a
hypergeometric distribution, times the number of clients (a union bound).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

#: With fewer clients than this the graph is complete.
SPARSE_FROM: Final = 32
#: Which part of the clients may be lost.
DROP_PART: Final = 1 / 3
#: Which part may work together with the server against the others, where the graph is sparse.
CORRUPT_PART: Final = 1 / 5
#: A secret is learnt, or the graph of the honest falls apart, with probability 2**-40 at most;
#: a round cannot be unmasked, though no more are lost than may be, with 2**-30.
SECURITY_BITS: Final = 40
CORRECTNESS_BITS: Final = 30


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of one round's graph.

    Attributes:
        clients: How many there are.
        degree: How many neighbours each of them has.
        threshold: How many shares give a secret, of the ``degree + 1`` that exist: each
            neighbour has one, and the client itself.
    """

    clients: int
    degree: int
    threshold: int

    @property
    def quorum(self) -> int:
        """How many clients must be left in the end."""
        return self.clients - lost_at_most(self.clients)


def lost_at_most(clients: int) -> int:
    """Return how many clients may be lost: a third, rounded down."""
    return clients // 3


@lru_cache(maxsize=64)
def parameters(clients: int) -> Parameters:
    """Return the numbers for so many clients.

    Args:
        clients: At least 1.
    """
    if clients >= SPARSE_FROM:
        for degree in range(SPARSE_FROM, clients - 1, 2):
            threshold = _threshold(clients, degree)
            if threshold is not None:
                return Parameters(clients, degree, threshold)
    return Parameters(clients, clients - 1, clients - lost_at_most(clients))


def _threshold(clients: int, degree: int) -> int | None:
    """Return a threshold that holds every condition; None if the degree is too small."""
    least = 2.0**-SECURITY_BITS / clients
    if (DROP_PART + CORRUPT_PART) ** (degree / 2) > least:
        return None  # those who are honest and there would not hang together
    others = clients - 1
    corrupt = math.floor(CORRUPT_PART * clients)
    # A majority of the shares: nobody can be told of one half that a peer is there, and of the
    # other half that it is not.
    threshold = (degree + 1) // 2 + 1
    while _at_least(others, corrupt, degree, threshold) > least:
        threshold += 1
    there = others - lost_at_most(clients)
    too_few = 1.0 - _at_least(others, there, degree, threshold)
    return threshold if too_few <= 2.0**-CORRECTNESS_BITS / clients else None


def _at_least(total: int, marked: int, drawn: int, least: int) -> float:
    """Return the probability that ``least`` marked ones are among those drawn."""
    all_draws = math.comb(total, drawn)
    tail = sum(
        math.comb(marked, hit) * math.comb(total - marked, drawn - hit)
        for hit in range(least, min(marked, drawn) + 1)
        if drawn - hit <= total - marked
    )
    # Of whole numbers: exact before the one rounding, so that 1 minus it loses too little.
    return 1.0 if tail == all_draws else tail / all_draws
