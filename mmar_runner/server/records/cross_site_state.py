# SPDX-License-Identifier: Apache-2.0
"""How far a run's cross-site validation is, by its journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


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

    def reasons(self) -> dict[str, str]:
        """Return why models or cells are empty, by ``OWNER`` or ``CLIENT/OWNER``."""
        lacking = {c: m.reason for c, m in sorted(self.models.items()) if not m.sha256}
        cells = {f"{c}/{o}": one.reason for (c, o), one in sorted(self.results.items())}
        return {**lacking, **{name: why for name, why in cells.items() if why}}
