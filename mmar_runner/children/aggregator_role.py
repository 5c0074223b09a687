# SPDX-License-Identifier: Apache-2.0
"""A child of the server that hosts an aggregator of whole updates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.children.role import Method, Role
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.whole_aggregator import (
    WholeResult,
    WholeRound,
    WholeUpdate,
    WholeUpdateAggregator,
)

if TYPE_CHECKING:
    from mmar_runner.children.building import Workshop
    from mmar_runner.children.spec import ChildSpec


class AggregatorRole(Role):
    """Answers ``begin``, ``accept`` and ``aggregate``, in this order, round after round."""

    def __init__(self, spec: ChildSpec, workshop: Workshop) -> None:
        kind = ComponentKind.AGGREGATOR
        self._rule: WholeUpdateAggregator = workshop.build(
            kind, spec.component, WholeUpdateAggregator
        )
        self._rule.setup(workshop.context(spec.context))

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"begin": self._begin, "accept": self._accept, "aggregate": self._aggregate}

    def close(self) -> None:
        """Close the aggregator."""
        self._rule.close()

    def _begin(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self._rule.begin(WholeRound(**{**params, "clients": tuple(params["clients"])}))
        return {"wants": UpdateKind(self._rule.wants).value}

    def _accept(self, params: Mapping[str, Any]) -> dict[str, Any]:
        fields = params["contribution"]
        contribution = Contribution(**{**fields, "kind": UpdateKind(fields["kind"])})
        refused = self._rule.accept(WholeUpdate(contribution, Path(params["file"])))
        return {"refused": str(refused)}

    def _aggregate(self, params: Mapping[str, Any]) -> dict[str, Any]:
        destination = Path(params["destination"])
        result: object = self._rule.aggregate(destination)
        if not isinstance(result, WholeResult):
            message = f"aggregate returned a {type(result).__name__}, not a WholeResult"
            raise TaskFailedError(message)
        if not destination.is_file():
            raise TaskFailedError(f"aggregate answered without writing {destination.name}")
        return {"kind": UpdateKind(result.kind).value, "left_out": list(result.left_out)}
