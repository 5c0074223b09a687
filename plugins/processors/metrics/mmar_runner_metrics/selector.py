# SPDX-License-Identifier: Apache-2.0
"""Choosing the best model by one validation metric."""

from __future__ import annotations

import logging
import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from mmar_runner.interfaces.handler import BestModelSelector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.interfaces.handler import RunEvent

_log = logging.getLogger(__name__)


class MetricSelector(BestModelSelector):
    """Scores a round by a metric that its clients reported.

    Args:
        metric: The metric's name; None takes the first in alphabetical order whose
            name does not contain ``loss``.
        higher_is_better: Whether a larger value is better.
        weigh_by_local_iter: Whether clients' metrics are averaged by their numbers of samples;
            False counts every client alike.
        aggregation_weights: A factor for the weight of each client that is named.
    """

    def __init__(
        self,
        metric: str | None = None,
        *,
        higher_is_better: bool = True,
        weigh_by_local_iter: bool = True,
        aggregation_weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._metric = metric
        self._by_samples = weigh_by_local_iter
        self._factors = dict(aggregation_weights)
        self._sign = 1.0 if higher_is_better else -1.0
        self._warned = False

    def handle_event(self, event: RunEvent) -> None:
        """Do nothing: choosing needs no event."""

    def weight(self, client: str, num_samples: float) -> float:
        """Return how much a client's metrics count: by samples or alike, times its factor."""
        return (num_samples if self._by_samples else 1.0) * self._factors.get(client, 1.0)

    def score(self, metrics: Mapping[str, float]) -> float | None:
        """Return the metric, larger being better, or None if it is absent or not finite."""
        name = self._metric if self._metric is not None else _first(metrics)
        value = metrics.get(name) if name is not None else None
        if value is None:
            self._warn_absent(metrics)
            return None
        return self._sign * value if math.isfinite(value) else None

    def _warn_absent(self, metrics: Mapping[str, float]) -> None:
        # Clients need not validate in every round, so only a wrong name is worth a word.
        if metrics and not self._warned:
            self._warned = True
            there = ", ".join(sorted(metrics))
            _log.warning("no metric %r to choose the best model by; there is %s. "
                         "Is that its name, and is it defined on what the sites hold out? "
                         "Their trainer's log says what it left out.",
                         self._metric, there)  # fmt: skip


def _first(metrics: Mapping[str, float]) -> str | None:
    return next((name for name in sorted(metrics) if "loss" not in name), None)
