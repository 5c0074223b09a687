# SPDX-License-Identifier: Apache-2.0
"""FedBuff: clients do not wait for each other, and a full buffer becomes the next model."""

from __future__ import annotations

import math
from typing import Final

from mmar_runner.federation.scatter_and_gather import ScatterAndGather

#: The most versions behind that an update may be allowed to be: so many models are kept.
MAX_STALENESS: Final = 64


class FedBuff(ScatterAndGather):
    """Buffered asynchronous aggregation (Nguyen et al. 2022, arXiv:2106.06639).

    The buffer is a round: it takes the updates of ``min_num_clients`` sites, at most one of
    each client, whichever come first, and closes with the last of them. Everybody works all the
    time; an update that was made from an older model is added as a difference to that one,
    times `staleness_factor`.

    Who works is said as in scatter and gather, where everybody does or a sample of them: whoever
    was asked before and is not now goes on with what it has, and that counts as well.

    Args:
        max_staleness: How many versions older than the newest the model may be that an update
            was made from; what is older is refused.

    Raises:
        ValueError: That is below 0 or above `MAX_STALENESS`.
    """

    def __init__(self, max_staleness: int = 10) -> None:
        if not 0 <= max_staleness <= MAX_STALENESS:
            raise ValueError(f"max_staleness is {max_staleness}, not 0 to {MAX_STALENESS}")
        self.max_staleness = max_staleness


def staleness_factor(staleness: int) -> float:
    """Return the factor of an update that was made from a model so many versions old.

    It is 1 / sqrt(1 + staleness), as in the paper's experiments (section 5).
    """
    return 1.0 / math.sqrt(1.0 + staleness)
