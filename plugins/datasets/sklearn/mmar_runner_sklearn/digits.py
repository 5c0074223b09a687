# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits for any number of sites, each with classes of its own liking."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmar_runner_sklearn.shards import Indices, dirichlet_shards, stocks
from mmar_runner_sklearn.site_dataset import SMALLEST_SHARD, SiteDataset, chosen
from mmar_runner_sklearn.tables import read_table


class DigitsDataset(SiteDataset):
    """1,797 grey images of 8 x 8 pixels, shape ``[1, 8, 8]``, values 0 to 1; 10 classes.

    Shards have equal sizes and class shares drawn from a symmetric Dirichlet, as in Hsu
    et al. 2019 (arXiv:1909.06335). Each has at least 16 images to train on; with more
    sites than the images can serve (78 with the default arguments), shards overlap. The
    held-out images are dealt the same way, with the same taste, at least 8 a site.

    Args:
        partition: ``train`` or ``held_out``.
        site_index: Which site, from 1; counted round if it is beyond ``num_sites``.
        num_sites: How many shards there are.
        pooled: True for all sites together.
        seed: Where the cut comes from.
        held_out: The share of each class that is held out.
        alpha: The Dirichlet's concentration; small means skewed.
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
        alpha: float = 0.5,
    ) -> None:
        x, y = _images()
        shards = _shards(partition, num_sites, seed, held_out, alpha)
        images = chosen(shards, site_index=site_index, pooled=pooled)
        super().__init__(x[images], y[images])


@lru_cache(maxsize=1)
def _images() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    x, y = read_table("digits.csv.gz")
    return np.float32(x / 16).reshape(-1, 1, 8, 8), y


@lru_cache(maxsize=8)
def _shards(
    partition: str, num_sites: int, seed: int, held_out: float, alpha: float
) -> list[Indices]:
    train, rest = stocks(_images()[1], held_out=held_out, seed=seed)
    if num_sites == 1:
        return [np.sort(np.concatenate(train if partition == "train" else rest))]
    classes, smallest = (train, SMALLEST_SHARD)
    if partition == "held_out":
        classes, smallest = (rest, SMALLEST_SHARD // 2)
    return dirichlet_shards(classes, sites=num_sites, alpha=alpha, smallest=smallest, seed=seed)
