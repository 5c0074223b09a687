# SPDX-License-Identifier: Apache-2.0
"""The Wisconsin diagnostic breast cancer data as hospitals of unequal size and patients."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmar_runner_sklearn.shards import skewed_shards, stocks
from mmar_runner_sklearn.site_dataset import SMALLEST_SHARD, SiteDataset, chosen
from mmar_runner_sklearn.tables import read_table


class BreastCancerDataset(SiteDataset):
    """569 cases, 30 features of cell nuclei; label 1 is malignant, 0 is benign.

    Sites differ in size (geometrically, the first is the largest) and in patients: the
    first sees few malignant cases, like a screening programme, the last sees mostly
    malignant ones, like a centre to which others refer. They have few cases to train on,
    as is usual, which is why it is worth their while to train together: with three sites,
    62 cases with 10% malignant, 36 with one half, and 20 with 90%. What they measure on
    is larger; it is cut from other cases in the same way.

    Features are standardised with the mean and the standard deviation of the whole
    published data set. These are public constants that every site computes alike, so
    nothing about a site's own patients is needed or given away.

    Args:
        partition: ``train`` or ``held_out``.
        site_index: Which site, from 1; counted round if it is beyond ``num_sites``.
        num_sites: How many shards there are.
        pooled: True for all sites together.
        seed: Where the cut comes from.
        held_out: The share of each class that is held out.
        train_cases: How many cases all sites together train on; None for all there are.
        skew: How far from one half the share of malignant cases goes, at the ends.
        size_ratio: Size of the first site over that of the last.
    """

    def __init__(
        self,
        partition: Literal["train", "held_out"] = "train",
        site_index: int = 1,
        num_sites: int = 1,
        *,
        pooled: bool = False,
        seed: int = 0,
        held_out: float = 0.3,
        train_cases: int | None = 120,
        skew: float = 0.4,
        size_ratio: float = 3.0,
    ) -> None:
        x, y = _cases()
        shares = _shares(num_sites, skew, size_ratio)
        train, rest = stocks(y, held_out=held_out, seed=seed)
        if partition == "train":
            shards = skewed_shards(
                train, shares, smallest=SMALLEST_SHARD, largest_total=train_cases
            )
        else:
            shards = skewed_shards(rest, shares, smallest=SMALLEST_SHARD // 2)
        cases = chosen(shards, site_index=site_index, pooled=pooled)
        super().__init__(x[cases], y[cases])


@lru_cache(maxsize=1)
def _cases() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    x, benign = read_table("breast_cancer.csv", head=1)
    return (x - x.mean(axis=0)) / x.std(axis=0), 1 - benign


def _shares(sites: int, skew: float, size_ratio: float) -> npt.NDArray[np.float64]:
    """Return what each site wants of benign and of malignant cases, in any unit."""
    malignant = np.linspace(0.5 - skew, 0.5 + skew, sites) if sites > 1 else np.array([0.37])
    sizes = np.geomspace(size_ratio, 1, sites)
    return np.stack([sizes * (1 - malignant), sizes * malignant], axis=1)
