# SPDX-License-Identifier: Apache-2.0
"""Filters whose doing can be told from a model's numbers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter


@hookimpl
def mmar_register_components(registry):
    number = {"type": "object", "properties": {"by": {"type": "number"}}}
    registry.add(kind="filter", name="Times", target=":Times", args_schema=number)
    for name in ("Noting", "Noisy", "Raising", "Spoiling", "KillsItself"):
        registry.add(kind="filter", name=name, target=f":{name}")


class Times(Filter):
    """Multiplies the difference to the round's model."""

    on_differences = True

    def __init__(self, by):
        self._by = by

    def apply(self, name, tensor):
        return (tensor * self._by).astype(tensor.dtype)


class Noting(Filter):
    """Writes down of whom it was told, in its ledger."""

    def begin(self, context):
        note = f"{context.client_name} {context.round} {context.kind.value} {context.num_samples:g}"
        context.ledger.joinpath("seen").open("a").write(note + "\n")

    def apply(self, name, tensor):
        return tensor


class Noisy(Filter):
    """Adds what it draws from its secret."""

    def begin(self, context):
        self._random = np.random.default_rng(int.from_bytes(context.secret[:8], "big"))

    def apply(self, name, tensor):
        return tensor + self._random.standard_normal(tensor.shape).astype(tensor.dtype)


class Raising(Filter):
    """Fails."""

    def apply(self, name, tensor):
        raise TaskFailedError(f"nothing can be made of {name}")


class Spoiling(Filter):
    """Makes NaN."""

    def apply(self, name, tensor):
        return np.full_like(tensor, np.nan)


class KillsItself(Filter):
    """Ends its process once, as the system does that has no memory left."""

    def begin(self, context):
        once = Path(context.ledger) / "once"
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def apply(self, name, tensor):
        return tensor
