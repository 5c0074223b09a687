# SPDX-License-Identifier: Apache-2.0
"""Cutting labelled data into shards, as pure functions of a seed.

The data is first parted, class by class, into what is trained on and what is held
out; no case is ever in both. Each part is then dealt to the sites from one shuffled
stock a class. Shards are disjoint as long as the stock lasts; where many sites ask
for more than there is, it is dealt again from its beginning, and shards overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def stocks(
    labels: npt.NDArray[Any], *, held_out: float, seed: int
) -> tuple[list[Indices], list[Indices]]:
    """Part the data and shuffle it.

    Args:
        labels: The class of every case, 0 to classes - 1; shape ``[cases]``.
        held_out: The share of every class that is held out.
        seed: Where the shuffling comes from.

    Returns:
        One array of case numbers a class, to train on and held out.
    """
    rng = np.random.default_rng([seed, 0])
    train, rest = [], []
    for label in range(int(labels.max()) + 1):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        cut = len(shuffled) - max(1, round(len(shuffled) * held_out))
        train.append(shuffled[:cut])
        rest.append(shuffled[cut:])
    return train, rest


class Stock:
    """Cases of several classes that are dealt out, and dealt again when they run out.

    Args:
        classes: One array of case numbers a class.
    """

    def __init__(self, classes: Sequence[Indices]) -> None:
        self._classes = classes
        self._next = [0] * len(classes)

    @property
    def left(self) -> npt.NDArray[np.int64]:
        """How many undealt cases each class has."""
        pairs = zip(self._classes, self._next, strict=True)
        return np.array([max(len(cases) - dealt, 0) for cases, dealt in pairs])

    def deal(self, counts: Indices) -> Indices:
        """Take ``counts[c]`` cases of each class ``c``, going round if need be."""
        taken = []
        for label, count in enumerate(counts):
            cases = self._classes[label]
            end = self._next[label] + min(int(count), len(cases))  # no case twice in a shard
            places = np.arange(self._next[label], end) % len(cases)
            self._next[label] = end
            taken.append(cases[places])
        return np.sort(np.concatenate(taken))


def skewed_shards(
    classes: Sequence[Indices],
    shares: npt.NDArray[np.float64],
    *,
    smallest: int,
    largest_total: int | None = None,
) -> list[Indices]:
    """Deal shards whose sizes and class shares are given.

    Args:
        classes: The stock, one array of case numbers a class.
        shares: Shape ``[sites, classes]``: what each site wants of each class, in any
            unit; scaled so that the first class to run out is used up.
        smallest: No shard is smaller; from each class a site gets at least two cases.
        largest_total: All shards together are not larger, unless they would be too small.
    """
    sizes = np.array([len(cases) for cases in classes])
    wanted = shares * (sizes / shares.sum(axis=0)).min()
    if largest_total is not None:
        wanted *= min(1.0, largest_total / wanted.sum())
    too_small = wanted.sum(axis=1) < smallest
    wanted[too_small] *= (smallest / wanted[too_small].sum(axis=1))[:, None]
    counts = np.maximum(np.floor(wanted + 1e-9), 2).astype(np.int64)
    missing = np.maximum(smallest - counts.sum(axis=1), 0)
    counts[np.arange(len(counts)), counts.argmax(axis=1)] += missing
    stock = Stock(classes)
    return [stock.deal(row) for row in counts]


def dirichlet_shards(
    classes: Sequence[Indices], *, sites: int, alpha: float, smallest: int, seed: int
) -> list[Indices]:
    """Deal shards of equal size whose class shares are drawn from a Dirichlet.

    A site whose favourite class has run out takes what is left of the others.

    Args:
        classes: The stock, one array of case numbers a class.
        sites: How many shards.
        alpha: The concentration; small means that few classes make up a shard.
        smallest: No shard is smaller.
        seed: Where the shares come from.
    """
    rng = np.random.default_rng([seed, 1])
    total = sum(len(cases) for cases in classes)
    size = min(max(total // sites, smallest), total)
    # All tastes are drawn first, so that a site's two parts have the same one.
    tastes = rng.dirichlet(np.full(len(classes), alpha), size=sites)
    stock, shards = Stock(classes), []
    for shares in tastes:
        if stock.left.sum() < size:
            stock = Stock(classes)
        shards.append(stock.deal(_counts(stock.left, shares, size, rng)))
    return shards


def _counts(
    left: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
    size: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    counts = np.minimum(rng.multinomial(size, shares), left)
    while counts.sum() < size:
        room = left - counts
        # The small constant lets classes in that the site never wanted, once all else is gone.
        likely = np.where(room > 0, shares + 1e-3, 0)
        more = rng.multinomial(size - counts.sum(), likely / likely.sum())
        counts += np.minimum(more, room)
    return counts
