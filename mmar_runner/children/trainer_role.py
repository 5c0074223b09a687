# SPDX-License-Identifier: Apache-2.0
"""A child that hosts the trainers of one client, or of several in a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.children.building import component_errors
from mmar_runner.children.results import checked_metrics, checked_result
from mmar_runner.children.role import Method, Role
from mmar_runner.children.spec import ChildContext
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainTask

if TYPE_CHECKING:
    from mmar_runner.children.building import Workshop
    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress

_PATHS = ("model", "update", "state", "new_state")
#: What of a request says whose trainer is meant, and of what it is built.
_ADDRESS = frozenset({"client", "setup"})


class TrainerRole(Role):
    """Answers ``setup``, ``train``, ``validate``, ``best_model`` and ``release``.

    A request without ``client`` means the client of the specification's context. One with
    ``setup``, what the request of that name takes, has the trainer built first unless it is there.

    Args:
        spec: What the child is.
        workshop: Builds trainers.
        progress: What trainers tell of their steps.
    """

    def __init__(self, spec: ChildSpec, workshop: Workshop, progress: Progress) -> None:
        self._workshop = workshop
        self._progress = progress
        self._trainers: dict[str, ClientTrainer] = {}
        self._label = spec.label
        self._leads = not spec.context.rank
        self._default = ""
        if spec.component:
            self._default = spec.context.client_name
            self._set_up(self._default, spec.component, spec.context)

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {
            "setup": self._setup,
            "train": self._train,
            "validate": self._validate,
            "best_model": self._best_model,
            "release": self._release,
        }

    def close(self) -> None:
        """Close every trainer, even if one of them raises."""
        with ExitStack() as stack:
            for trainer in self._trainers.values():
                stack.callback(trainer.close)
        self._trainers.clear()

    def _setup(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Build and set up a client's trainer: ``component``, ``context``, ``client``."""
        context = ChildContext(**params["context"])
        self._set_up(params.get("client", context.client_name), params["component"], context)
        return {}

    def _set_up_first(self, client: str, setup: Mapping[str, Any]) -> None:
        with component_errors(f"setup of {self._label}" if self._label else "setup"):
            self._setup({**setup, "client": client})

    def _set_up(self, client: str, component: Mapping[str, Any], context: ChildContext) -> None:
        kind = ComponentKind.CLIENT_TRAINER
        trainer: ClientTrainer = self._workshop.build(kind, component, ClientTrainer)
        self._workshop.set_up(trainer, context)
        self._trainers[client] = trainer

    def _train(self, params: Mapping[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in params.items() if name not in _ADDRESS}
        paths = {name: Path(fields[name]) for name in _PATHS}
        task = TrainTask(**{**fields, **paths}, progress=self._progress)
        result = self._trainer(params).train(task)
        if self._leads and not task.update.is_file():
            raise TaskFailedError(f"the trainer answered without writing {task.update.name}")
        return checked_result(result)

    def _validate(self, params: Mapping[str, Any]) -> dict[str, Any]:
        metrics = self._trainer(params).validate(Path(params["model"]))
        return {"metrics": checked_metrics("metric", metrics)}

    def _best_model(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have the best local model written, by one process: each has the same."""
        if not self._leads:
            return {"metrics": {}, "there": True}
        destination = Path(params["destination"])
        metrics = self._trainer(params).best_model(destination)
        if metrics is None:
            return {"metrics": {}, "there": False}
        if not destination.is_file():
            raise TaskFailedError(f"best_model answered without writing {destination.name}")
        return {"metrics": checked_metrics("metric", metrics), "there": True}

    def _release(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Close one client's trainer and forget it."""
        self._trainer(params).close()
        del self._trainers[params.get("client", self._default)]
        return {}

    def _trainer(self, params: Mapping[str, Any]) -> ClientTrainer:
        client = params.get("client", self._default)
        if client not in self._trainers and "setup" in params:
            self._set_up_first(client, params["setup"])
        if client not in self._trainers:
            raise TaskFailedError(f"no trainer is set up here for client {client!r}")
        return self._trainers[client]
