# SPDX-License-Identifier: Apache-2.0
"""What every model validator must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.testing.contracts.files import assert_metrics
from mmar_runner.testing.contracts.laws import hold, same

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner.interfaces.model_validator import ModelValidator


class ModelValidatorContract(ABC):
    """A validator measures a model file, and does not change it."""

    @abstractmethod
    def make(self) -> ModelValidator:
        """Return a new validator."""

    @abstractmethod
    def context(self, workspace: Path) -> TrainerContext:
        """Return what a validator is told; ``workspace`` is an empty folder of its own."""

    @abstractmethod
    def model(self, destination: Path) -> None:
        """Write a model that the validator can measure."""

    def test_metrics(self, tmp_path: Path) -> None:
        """At least one number by name, the same when asked again; the file stays."""
        workspace, model = tmp_path / "workspace", tmp_path / "model.safetensors"
        workspace.mkdir()
        self.model(model)
        before = model.read_bytes()
        validator = self.make()
        validator.setup(self.context(workspace))
        metrics = validator.validate(model)
        hold("A validator measures something", metrics, expected="metrics", got=metrics)
        assert_metrics(metrics)
        law = "A model that is measured again has the same metrics"
        same(law, metrics, validator.validate(model))
        same("A validator leaves the model file as it is", before, model.read_bytes())
        validator.close()
