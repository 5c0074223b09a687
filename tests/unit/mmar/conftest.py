# SPDX-License-Identifier: Apache-2.0
"""A catalog of components that are not there, and MMARs to break."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.mmar.validation import Validation, validate

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding


def _args(required=(), **properties):
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def _describe(kind, name, schema=None, **more):
    target = f"not_there.{name}:{name}"
    return ComponentDescription(ComponentKind(kind), name, target, schema or _args(), **more)


_NET = _args(["width"], width={"type": "integer", "minimum": 1}, norm={"enum": ["batch", None]})
_COMPONENTS = (
    _describe(
        "aggregator",
        "FedAvg",
        _args(
            aggregation_weights={"type": "object", "additionalProperties": {"type": "number"}},
            exclude_vars={"type": ["string", "null"], "format": "regex"},
        ),
        aliases=("ModelAggregator", "old.package.Aggregator"),
        extras={"expects": ["weights", "weight_diff"]},
    ),
    _describe("aggregator", "OnlyDiffs", extras={"expects": ["weight_diff"]}),
    _describe("workflow", "ScatterAndGather"),
    _describe("model_persistor", "Persistor", _args(model={"x-component": "model"})),
    _describe("model_validator", "Judge"),
    _describe("filter", "Scale", _args(["factor"], factor={"type": "number"})),
    _describe("filter", "Pack", extras={"undone_by": "Unpack"}),
    _describe("filter", "Unpack", extras={"undoes": "Pack"}),
    _describe("filter", "Lock", extras={"undone_by": "Unlock"}),
    _describe("filter", "Unlock", extras={"undoes": "Lock"}),
    _describe("handler", "Best", extras={"selects_best_model": True}),
    _describe("handler", "Chain", _args(steps={"type": "array", "x-component": "handler"})),
    _describe("result_processor", "Metrics", extras={"topics": ["metrics"]}),
    _describe("result_processor", "Matrix", extras={"topics": ["cross_site"]}),
    _describe(
        "client_trainer",
        "Trainer",
        _args(local_epochs={"type": "integer", "minimum": 1}),
        extras={
            "produces": ["weights"],
            "sends_topics": ["metrics"],
            "train_parts": {
                "/train/model": "model",
                "/train/optimizer": "optimizer",
                "/train/metrics/*": "metric",
            },
            "train_schema": {
                "type": "object",
                "required": ["train"],
                "properties": {
                    "train": {
                        "type": "object",
                        "required": ["model"],
                        "properties": {"batch_size": {"type": "integer"}},
                    }
                },
            },
        },
    ),
    _describe("model", "Net", _NET),
    _describe("metric", "AUC"),
    _describe("optimizer", "torch.optim.", {"type": "object"}, path_prefix=True),
)


class FakeCatalog:
    """A catalog over a table."""

    def __init__(self, components=_COMPONENTS):
        self._components = components

    @property
    def installed(self):
        return self

    def find(self, kind, name):
        for found in self._components:
            if found.kind != kind:
                continue
            if found.path_prefix and name.startswith(found.name) and name != found.name:
                return replace(found, name=name)
            if not found.path_prefix and name in {found.name, *found.aliases}:
                return found
        return None

    def names(self, kind):
        return sorted(c.name for c in self._components if c.kind == kind and not c.path_prefix)

    def tabled(self, kind):
        return []

    def at_target(self, kind, dotted):
        found = (c for c in self._components if c.kind == kind)
        return next((c for c in found if c.target.replace(":", ".") == dotted), None)

    def kinds_of(self, name):
        return [c.kind for c in self._components if name in {c.name, *c.aliases}]

    def broken(self):
        return {}

    doctor = "mmar-runner plugins doctor"


SERVER: dict[str, Any] = {
    "format_version": 1,
    "servers": [{"name": "task", "min_num_clients": 2, "max_num_clients": 8, "num_rounds": 3}],
    "aggregator": {"name": "FedAvg", "args": {"aggregation_weights": {"site-1": 1.5}}},
    "model_persistor": {
        "name": "Persistor",
        "args": {"model": {"name": "Net", "args": {"width": 4}}},
    },
    "inbound_filters": [],
    "outbound_filters": [],
    "handlers": [{"name": "Best"}],
    "result_processors": [{"name": "Metrics"}],
}
CLIENT: dict[str, Any] = {
    "format_version": 1,
    "servers": [{"name": "task"}],
    "client": {"outbound_filters": [{"name": "Scale", "args": {"factor": 2}}]},
    "client_trainer": {"name": "Trainer", "args": {"local_epochs": 1}},
    "handlers": [],
}
TRAIN: dict[str, Any] = {
    "learning_rate": 0.1,
    "determinism": {"random_seed": 7},
    "train": {
        "model": {"name": "Net", "args": {"width": 4}},
        "optimizer": {"path": "torch.optim.SGD", "args": {"lr": "{learning_rate}"}},
        "batch_size": 16,
        "metrics": [{"name": "AUC", "is_key_metric": True}],
    },
}


class Mmar:
    """A good MMAR that a test breaks; JSON files are written with two spaces."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.server = deepcopy(SERVER)
        self.client = deepcopy(CLIENT)
        self.train = deepcopy(TRAIN)
        self.environment: dict[str, Any] = {"DATA_ROOT": "/data"}
        self.catalog = FakeCatalog()

    @property
    def task(self) -> dict[str, Any]:
        return self.server["servers"][0]

    def write(self, file: str, content: str | bytes) -> Path:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def save(self) -> Path:
        files = {
            "config_fed_server": self.server,
            "config_fed_client": self.client,
            "config_train": self.train,
            "environment": self.environment,
        }
        for name, value in files.items():
            if value is not None:
                self.write(f"config/{name}.json", json.dumps(value, indent=2))
        return self.root

    def check(self, *, saved: bool = False, **options: Any) -> Validation:
        if not saved:
            self.save()
        return validate(self.root, self.catalog, **options)

    def findings(self, **options: Any) -> tuple[Finding, ...]:
        return self.check(**options).report.findings

    def only(self, **options: Any) -> Finding:
        """Return the one finding there is."""
        found = self.findings(**options)
        assert len(found) == 1, "\n".join(map(str, found)) or "nothing was found"
        return found[0]


@pytest.fixture(autouse=True)
def only_the_catalog_knows(monkeypatch):
    """The classes of these tests are nobody's, whatever is installed."""
    monkeypatch.setattr("mmar_runner.mmar.components.installed_class.absence", lambda _dotted: None)
    monkeypatch.setattr(
        "mmar_runner.mmar.components.installed_class.is_module", lambda _dotted: False
    )
    monkeypatch.setattr(
        "mmar_runner.mmar.components.installed_class.definition", lambda _dotted: None
    )


@pytest.fixture
def mmar(tmp_path):
    return Mmar(tmp_path / "job")
