# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same bytes."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed every source of randomness that training code is likely to use.

    Args:
        seed: 0 <= seed < 2**63.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - user code may draw from numpy's old generator
    torch.manual_seed(seed)


def use_deterministic_algorithms() -> None:
    """Prefer algorithms whose result does not vary; warn where torch has none."""
    # Not use_deterministic_algorithms, which does the same and imports the compiler: two
    # seconds and 70 MB that a validator does not need.
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False


def device_named(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
