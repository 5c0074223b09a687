# SPDX-License-Identifier: Apache-2.0
"""What the data sets of this package have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner_sklearn.shards import Indices

#: No shard, of any site, has fewer cases than this to train on.
SMALLEST_SHARD = 16


class SiteDataset:
    """The cases of one site, or of all, as arrays.

    Attributes:
        x: Inputs, float32, one case a row.
        y: Labels, int64, shape ``[cases]``.
    """

    def __init__(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
        self.x = np.ascontiguousarray(x, dtype=np.float32)
        self.y = np.ascontiguousarray(y, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], int]:
        """Return one case: its input and its label."""
        return self.x[index], int(self.y[index])


def chosen(shards: Sequence[Indices], *, site_index: int, pooled: bool) -> Indices:
    """Return the case numbers of one site, from 1, or of all sites, each once.

    A site beyond the number of shards gets one of them again: a federation that needs
    two clients may well have three.
    """
    if pooled:
        return np.unique(np.concatenate(shards))
    return shards[(site_index - 1) % len(shards)]
