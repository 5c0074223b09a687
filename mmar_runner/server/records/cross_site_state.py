# SPDX-License-Identifier: Apache-2.0
"""How far a run's cross-site validation is, by its journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict


@dataclass(frozen=True, slots=True)
class BestLocalModel:
    """A client's best local model, or that it has none.

    Attributes:
        client: Whose.
        sha256: Of its file, hex; empty if there is none.
        bytes: The file's size.
        metrics: What its trainer says that it is worth.
        reason: Why there is none, or empty.
    """

    client: str
    sha256: str = ""
    bytes: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return {**asdict(self), "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BestLocalModel:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
        """
        return cls(*(data[name] for name in ("client", "sha256", "bytes", "metrics", "reason")))


@dataclass(frozen=True, slots=True)
class Validated:
    """What one model is worth on one client's data, or why nobody knows.

    Attributes:
        client: Whose data.
        owner: Whose model.
        metrics: By name; empty if it was not validated.
        reason: Why it was not, or empty.
    """

    client: str
    owner: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return {**asdict(self), "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Validated:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
        """
        return cls(data["client"], data["owner"], data["metrics"], data["reason"])


class EmptyCell(TypedDict):
    """What is not in the matrix: a cell, or, without a data client, a model."""

    data_client: str | None
    model_owner: str
    reason: str


@dataclass(slots=True)
class CrossSiteState:
    """What the events of a cross-site validation add up to.

    Attributes:
        participants: Who takes part.
        server_models: The sha256 of the server's models, by what they are called.
        models: The clients' best local models, by client.
        results: What is known or given up, by client and owner.
        ended: Whether it is over.
    """

    participants: tuple[str, ...] = ()
    server_models: dict[str, str] = field(default_factory=dict)
    models: dict[str, BestLocalModel] = field(default_factory=dict)
    results: dict[tuple[str, str], Validated] = field(default_factory=dict)
    ended: bool = False

    def matrix(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return the metrics by client, owner and name; empty where nothing is known."""
        matrix: dict[str, dict[str, dict[str, float]]] = {c: {} for c in self.participants}
        for one in self.results.values():
            matrix.setdefault(one.client, {})[one.owner] = dict(one.metrics)
        return matrix

    def empty(self) -> list[EmptyCell]:
        """Return which models and cells there are not, and why, sorted."""
        models = [
            EmptyCell(data_client=None, model_owner=client, reason=model.reason)
            for client, model in sorted(self.models.items())
            if not model.sha256
        ]
        cells = [
            EmptyCell(data_client=client, model_owner=owner, reason=one.reason)
            for (client, owner), one in sorted(self.results.items())
            if one.reason
        ]
        return models + cells

    def summary(self) -> dict[str, Any]:
        """Return what the run's summary says of it."""
        return {
            "participants": list(self.participants),
            "results": "cross_site_validation/results.json",
            "empty": self.empty(),
        }
