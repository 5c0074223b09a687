# SPDX-License-Identifier: Apache-2.0
"""The option ``--metrics``: numbers of a server, for whoever scrapes them on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.starting.addresses import is_loopback, require_address
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.metrics.run_metrics import RunMetrics

metrics_option = click.option(
    "--metrics",
    metavar="HOST:PORT",
    help="Serve metrics for Prometheus there, on loopback only; port 0 picks a free one.",
)


def require_metrics_address(address: str | None) -> None:
    """Accept an address of this machine alone: nothing protects what is served.

    Args:
        address: What ``--metrics`` said, or None.

    Raises:
        UsageError: It is no address, or not one of loopback.
    """
    host = "localhost" if address is None else require_address(address, option="--metrics")
    if not is_loopback(host):
        msg = f"--metrics is refused for {host!r}: whoever reaches it may read it"
        hint = "use 127.0.0.1; who scrapes from elsewhere comes through a proxy or a tunnel"
        raise UsageError(msg, hint=hint)


class ServedMetrics:
    """Metrics that are served, or none.

    Attributes:
        address: Where, ``host:port``; None if nowhere.

    Args:
        metrics: What is counted; None counts nothing.
        address: As above.
    """

    def __init__(self, metrics: RunMetrics | None = None, address: str | None = None) -> None:
        self._metrics = metrics
        self.address = address

    def watching(self, observer: Observer) -> Observer:
        """Return an observer that counts, too, what it sees."""
        return observer if self._metrics is None else self._metrics.watching(observer)


@contextmanager
def served_metrics(address: str | None) -> Iterator[ServedMetrics]:
    """Serve metrics while the block lasts; its runs may come one after the other.

    Args:
        address: What `require_metrics_address` let pass.

    Raises:
        UsageError: ``prometheus_client`` is not installed.
        InUseError: It cannot be bound.
    """
    if address is None:
        yield ServedMetrics()
        return
    # Deferred: it needs a library that whoever serves no metrics need not have.
    from mmar_runner.metrics.endpoint import MetricsEndpoint  # noqa: PLC0415
    from mmar_runner.metrics.registry import Registry  # noqa: PLC0415 - as above
    from mmar_runner.metrics.run_metrics import RunMetrics  # noqa: PLC0415 - as above

    metrics = RunMetrics(Registry())
    host, _, port = address.rpartition(":")
    with MetricsEndpoint(metrics.registry, host, int(port)) as endpoint:
        yield ServedMetrics(metrics, endpoint.address)
