# SPDX-License-Identifier: Apache-2.0
"""Writes MMAR folders for tests: a working one by default, changed where a test says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path


def component(name: str, **args: Any) -> dict[str, Any]:
    """Return a component's declaration; ``name`` with a dot is a path."""
    key = "path" if "." in name else "name"
    return {key: name, "args": args}


class MmarBuilder:
    """Builds one MMAR; every method returns the builder itself.

    Without further calls it is a small federation that needs no data: ``EchoTrainer``,
    ``EchoModelPersistor`` and ``FedAvg``, from the bundled plugins::

        mmar = MmarBuilder("job").server(num_rounds=5).trainer("MyTrainer", rate=0.1).write(tmp)

    Args:
        name: The folder's name.
        task: The task name of both sides.
    """

    def __init__(self, name: str = "job", *, task: str = "job") -> None:
        self._name = name
        self._server: dict[str, Any] = {
            "servers": [
                {
                    "name": task,
                    "min_num_clients": "{MIN_NUM_CLIENTS}",
                    "max_num_clients": "{MAX_NUM_CLIENTS}",
                    "num_rounds": "{NUM_ROUNDS}",
                }
            ],
            "aggregator": component("FedAvg"),
            "model_persistor": component("EchoModelPersistor", size_mb=0.01),
        }
        self._client: dict[str, Any] = {
            "servers": [{"name": task}],
            "client_trainer": component("EchoTrainer"),
        }
        self._environment: dict[str, Any] = {
            "NUM_ROUNDS": 2,
            "MIN_NUM_CLIENTS": 2,
            "MAX_NUM_CLIENTS": 100,
        }
        self._files: dict[str, str | bytes] = {}

    def server(self, **values: Any) -> Self:
        """Set values of the server's entry, such as ``num_rounds`` or ``start_round``."""
        self._server["servers"][0].update(values)
        return self

    def top_level(self, **values: Any) -> Self:
        """Set keys at the top of the server file, such as ``clients_per_round``."""
        self._server.update(values)
        return self

    def task(self, *, server: str | None = None, client: str | None = None) -> Self:
        """Set the task name of one side or both."""
        if server is not None:
            self._server["servers"][0]["name"] = server
        if client is not None:
            self._client["servers"][0]["name"] = client
        return self

    def aggregator(self, name: str, **args: Any) -> Self:
        """Declare the aggregator."""
        self._server["aggregator"] = component(name, **args)
        return self

    def model_persistor(self, name: str, **args: Any) -> Self:
        """Declare what makes the initial model."""
        self._server["model_persistor"] = component(name, **args)
        return self

    def trainer(self, name: str, **args: Any) -> Self:
        """Declare the client's trainer."""
        self._client["client_trainer"] = component(name, **args)
        return self

    def result_processor(self, name: str, **args: Any) -> Self:
        """Add a result processor."""
        self._server.setdefault("result_processors", []).append(component(name, **args))
        return self

    def handler(self, name: str, **args: Any) -> Self:
        """Add a handler of the server."""
        self._server.setdefault("handlers", []).append(component(name, **args))
        return self

    def client_filter(self, name: str, *, inbound: bool = False, **args: Any) -> Self:
        """Add a filter of the client, for updates or, inbound, for models."""
        key = "inbound_filters" if inbound else "outbound_filters"
        self._client.setdefault(key, []).append(component(name, **args))
        return self

    def variables(self, **values: Any) -> Self:
        """Set variables of ``environment.json``."""
        self._environment.update(values)
        return self

    def file(self, path: str, content: str | bytes) -> Self:
        """Add or replace any file, by its path in the MMAR, such as ``custom/nets.py``."""
        self._files[path] = content
        return self

    def json_file(self, path: str, value: Any) -> Self:
        """Add or replace a JSON file, such as ``config/config_train.json``."""
        return self.file(path, json.dumps(value, indent=2))

    def write(self, parent: Path) -> Path:
        """Write the folder below ``parent`` and return it."""
        root = parent / self._name
        (root / "config").mkdir(parents=True, exist_ok=True)
        for path, content in {**self._configuration(), **self._files}.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    def _configuration(self) -> dict[str, str]:
        values = {
            "config/config_fed_server.json": {"format_version": 1, **self._server},
            "config/config_fed_client.json": {"format_version": 1, **self._client},
            "config/environment.json": self._environment,
        }
        return {path: json.dumps(value, indent=2) for path, value in values.items()}
