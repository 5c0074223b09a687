# SPDX-License-Identifier: Apache-2.0
"""Updates sent through a filter as the runner does it, with secrets that a test numbers."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import FilterContext


def secret(number):
    return sha256(f"secret {number}".encode()).digest()


def context(number=0, **fields):
    return FilterContext(
        "site-1", 3, UpdateKind.WEIGHT_DIFF, seed=1, secret=secret(number), **fields
    )


def sent(made, update, number=0, **fields):
    """Send an update, or one tensor of it; return what leaves."""
    if isinstance(update, np.ndarray):
        return sent(made, {"w": update}, number, **fields)["w"]
    made.begin(context(number, **fields))
    again = made.needs_measure
    while again:
        for name, tensor in update.items():
            made.measure(name, tensor)
        again = made.measures_again()
    out = {name: made.apply(name, tensor) for name, tensor in update.items()}
    made.finish()
    return out
