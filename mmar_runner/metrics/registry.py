# SPDX-License-Identifier: Apache-2.0
"""A registry of our own, made from the catalog; every known label value is there from the start."""

from __future__ import annotations

import platform
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.errors import UsageError
from mmar_runner.metrics.catalog import METRICS, OTHER, ROUND_SECONDS, Described, MetricKind
from mmar_runner.storage.memory import peak_rss_bytes

try:
    import prometheus_client
except ImportError as error:
    raise UsageError(
        f"--metrics needs prometheus_client, which cannot be imported: {error}",
        hint="pip install 'mmar-runner[metrics]'",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Counter, Gauge, Histogram

#: The media type of `Registry.text`.
TEXT_TYPE: Final = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
_KINDS: Final[Mapping[MetricKind, type[Counter | Gauge]]] = {
    MetricKind.COUNTER: prometheus_client.Counter,
    MetricKind.GAUGE: prometheus_client.Gauge,
}
_DESCRIBED: Final = {one.name: one for one in METRICS}


class Registry:
    """The numbers of one server, from its start on. Safe for several threads.

    Raises:
        UsageError: On import of this module: ``prometheus_client`` is not installed.
    """

    def __init__(self) -> None:
        # When a counter began is of no use: the library's word for it has no types.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry(auto_describe=False)
        self._made = {one.name: _made(one, self._registry) for one in METRICS}
        self.gauge("mmar_build_info", version=__version__, python=platform.python_version()).set(1)
        peak = self.gauge("mmar_peak_memory_bytes")
        peak.set_function(lambda: float(peak_rss_bytes() or 0))

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter.

        Args:
            name: The metric.
            amount: How much; what is no number from 0 on adds nothing.
            labels: A value that is not listed is counted as ``other``.
        """
        counter: Counter = self._made[name]
        if labels:
            counter = counter.labels(**_known(name, labels))
        if amount > 0:
            counter.inc(amount)

    def gauge(self, name: str, **labels: str) -> Gauge:
        """Return a gauge, to be set."""
        gauge: Gauge = self._made[name]
        return gauge.labels(**labels) if labels else gauge

    def observe(self, name: str, value: float) -> None:
        """Add a value to a histogram."""
        histogram: Histogram = self._made[name]
        histogram.observe(value)

    def text(self) -> bytes:
        """Return all numbers as Prometheus reads them (text format 0.0.4)."""
        return prometheus_client.generate_latest(self._registry)


def _known(name: str, labels: dict[str, str]) -> dict[str, str]:
    """Return labels of a metric with ``other`` in place of values that are not listed."""
    listed = _DESCRIBED[name].labels
    return {label: value if value in listed[label] else OTHER for label, value in labels.items()}


def _made(described: Described, registry: prometheus_client.CollectorRegistry) -> Any:
    """Return a metric with all its label values, so that each is there before it is counted."""
    names = tuple(described.labels)
    if described.kind is MetricKind.HISTOGRAM:
        return prometheus_client.Histogram(
            described.name, described.help, names, buckets=ROUND_SECONDS, registry=registry
        )
    kind = _KINDS[described.kind]
    metric = kind(described.name, described.help, names, registry=registry)
    for values in product(*described.labels.values()) if names else ():
        metric.labels(*values)
    return metric
