# SPDX-License-Identifier: Apache-2.0
"""Children that host a model persistor or a model validator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.children.results import checked_metrics
from mmar_runner.children.role import Method, Role
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.model_validator import ModelValidator

if TYPE_CHECKING:
    from mmar_runner.children.building import Workshop
    from mmar_runner.children.spec import ChildSpec


class PersistorRole(Role):
    """Answers ``initial_model``, ``convert`` and ``export``."""

    def __init__(self, spec: ChildSpec, workshop: Workshop) -> None:
        kind = ComponentKind.MODEL_PERSISTOR
        self._persistor: ModelPersistor = workshop.build(kind, spec.component, ModelPersistor)
        self._persistor.setup(workshop.context(spec.context))

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {
            "initial_model": self._initial_model,
            "convert": self._convert,
            "export": self._export,
        }

    def _initial_model(self, params: Mapping[str, Any]) -> dict[str, Any]:
        destination = Path(params["destination"])
        self._persistor.initial_model(destination, seed=params["seed"])
        return _written(destination)

    def _convert(self, params: Mapping[str, Any]) -> dict[str, Any]:
        destination = Path(params["destination"])
        try:
            self._persistor.convert(Path(params["checkpoint"]), destination)
        except NotImplementedError as error:
            name = type(self._persistor).__name__
            message = f"{name} reads no checkpoints of another format"
            raise TaskFailedError(message, hint="give a .safetensors file") from error
        return _written(destination)

    def _export(self, params: Mapping[str, Any]) -> dict[str, Any]:
        file = self._persistor.export(Path(params["model"]), Path(params["folder"]))
        return {"file": None if file is None else str(file)}


class ValidatorRole(Role):
    """Answers ``validate``."""

    def __init__(self, spec: ChildSpec, workshop: Workshop) -> None:
        kind = ComponentKind.MODEL_VALIDATOR
        self._validator: ModelValidator = workshop.build(kind, spec.component, ModelValidator)
        workshop.set_up(self._validator, spec.context)

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {"validate": self._validate}

    def close(self) -> None:
        """Close the validator."""
        self._validator.close()

    def _validate(self, params: Mapping[str, Any]) -> dict[str, Any]:
        metrics = self._validator.validate(Path(params["model"]))
        return {"metrics": checked_metrics("metric", metrics)}


def _written(destination: Path) -> dict[str, Any]:
    if not destination.is_file():
        raise TaskFailedError(f"the persistor did not write {destination.name}")
    return {"bytes": destination.stat().st_size}
