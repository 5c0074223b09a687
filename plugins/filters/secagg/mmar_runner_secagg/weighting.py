# SPDX-License-Identifier: Apache-2.0
"""What an update weighs in a sum of masked updates.

A server cannot weigh what it cannot read, so that a client multiplies its own differences: by 1,
or by its samples over a bound that all of them know. How many samples that are is told to the
server in the open, with every update: it divides by the sum of the weights.
"""

from __future__ import annotations

from typing import Literal

Weighting = Literal["equal", "samples"]


def weight_of(num_samples: float, weighting: Weighting, max_samples: float) -> float:
    """Return the weight of an update, in (0, 1]; client and server compute the same.

    Args:
        num_samples: It was trained on.
        weighting: How updates are weighed.
        max_samples: So many samples weigh 1, and so do more.
    """
    return 1.0 if weighting == "equal" else min(num_samples, max_samples) / max_samples
