# SPDX-License-Identifier: Apache-2.0
"""A one-file plugin whose components raise: what becomes of that is looked for in files."""

from __future__ import annotations

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.interfaces.filter import Filter
from mmar_runner.interfaces.handler import EventType, Handler


@hookimpl
def mmar_register_components(registry):
    text = {"type": "string"}
    registry.add(kind="aggregator", name="RaisingAggregator", target=":RaisingAggregator")
    registry.add(kind="filter", name="RaisingFilter", target=":RaisingFilter")
    registry.add(
        kind="handler",
        name="RaisingHandler",
        target=":RaisingHandler",
        args_schema={"properties": {"at": text}},
    )


class RaisingAggregator(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        raise ZeroDivisionError("no weights at all")


class RaisingFilter(Filter):
    def apply(self, name, tensor):
        raise OverflowError("too much to hide")


class RaisingHandler(Handler):
    def __init__(self, at="AFTER_AGGREGATION"):
        self.at = EventType(at) if at else None
        if not at:
            raise KeyError("WEBHOOK_TOKEN")

    def handle_event(self, event):
        if event.type is self.at:
            raise ConnectionError("503 Service Unavailable")
