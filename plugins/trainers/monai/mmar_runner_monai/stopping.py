# SPDX-License-Identifier: Apache-2.0
"""Handlers that end a round early. Ignite's own of these names cannot be attached by themselves."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import torch
from ignite.engine import Engine, Events

_log = logging.getLogger(__name__)


class TerminateOnNan:
    """Ends the round after an iteration whose output holds a value that is not finite.

    Unlike Ignite's it writes no output into the log: that would be data of the site.

    Args:
        output_transform: Gives of an engine's output what is looked at.
    """

    def __init__(self, output_transform: Callable[[Any], Any] = lambda output: output) -> None:
        self._looked_at = output_transform

    def attach(self, engine: Engine) -> None:
        """Look at the output of every iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._look)

    def _look(self, engine: Engine) -> None:
        if not is_finite(self._looked_at(engine.state.output)):
            _log.warning("iteration %d: a value is not finite", engine.state.iteration)
            engine.terminate()


class TimeLimit:
    """Ends the round after the first iteration that ends later than allowed.

    Unlike Ignite's it counts from the beginning of the round, or of a measurement: between rounds
    a site waits for others.

    Args:
        limit_sec: How long may be computed, in seconds.
    """

    def __init__(self, limit_sec: int = 28800) -> None:
        self._limit = limit_sec
        self._began = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Look at the clock after every iteration."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._look)

    def _begin(self, _: Engine) -> None:
        self._began = time.monotonic()

    def _look(self, engine: Engine) -> None:
        if time.monotonic() - self._began > self._limit:
            _log.warning("the time limit of %d seconds is reached", self._limit)
            engine.terminate()


def is_finite(value: Any) -> bool:
    """Return whether every number in a value is finite, however deep in it."""
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, Real) or math.isfinite(value)
