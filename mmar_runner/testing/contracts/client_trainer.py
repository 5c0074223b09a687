# SPDX-License-Identifier: Apache-2.0
"""What every client trainer must do."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Final

from mmar_runner.interfaces.client_trainer import (
    ClientTrainer,
    TrainerContext,
    TrainResult,
    TrainTask,
)
from mmar_runner.testing.contracts.files import assert_metrics, tensors_of
from mmar_runner.testing.contracts.laws import hold, same

_ALIKE: Final = "An update has the tensors of the model, with their shapes and element types"


class ClientTrainerContract(ABC):
    """A trainer turns a model file into an update file, the same one for the same seed."""

    @abstractmethod
    def make(self) -> ClientTrainer:
        """Return a new trainer."""

    @abstractmethod
    def context(self, workspace: Path) -> TrainerContext:
        """Return what a trainer is told; ``workspace`` is an empty folder of its own."""

    @abstractmethod
    def model(self, destination: Path) -> None:
        """Write a model that the trainer can train."""

    def test_update_has_the_tensors_of_the_model(self, tmp_path: Path) -> None:
        """Every tensor with its shape and element type, and the model stays as it is."""
        task, _ = self._trained(tmp_path)
        same(_ALIKE, tensors_of(task.model), tensors_of(task.update))
        self.model(tmp_path / "again")
        law = "The model file stays as it is, and the suite's `model` writes the same twice"
        same(law, (tmp_path / "again").read_bytes(), task.model.read_bytes())

    def test_result(self, tmp_path: Path) -> None:
        """A positive number of samples, and metrics that are numbers."""
        _, result = self._trained(tmp_path)
        samples = result.num_samples
        law = "A trainer says on how many samples it trained"
        sound = math.isfinite(samples) and samples > 0
        hold(law, sound, expected="a finite number above 0", got=samples)
        assert_metrics(result.metrics)
        assert_metrics(result.validation)

    def test_same_seed_same_bytes(self, tmp_path: Path) -> None:
        """A task that is repeated gives the same update, bit for bit."""
        first, _ = self._trained(tmp_path / "first")
        second, _ = self._trained(tmp_path / "second")
        law = "A task that is repeated with the same seed gives the same update, bit for bit"
        same(law, first.update.read_bytes(), second.update.read_bytes())

    def test_a_second_round(self, tmp_path: Path) -> None:
        """The same trainer goes on with what it kept of the first round."""
        trainer = self._ready(tmp_path)
        first = self._task(tmp_path, number=0)
        trainer.train(first)
        second = self._task(tmp_path, number=1, state=first.new_state)
        trainer.train(second)
        trainer.close()
        same(_ALIKE, tensors_of(second.model), tensors_of(second.update))

    def test_validate(self, tmp_path: Path) -> None:
        """Metrics of a model file are numbers, and the same when asked again."""
        trainer = self._ready(tmp_path)
        task = self._task(tmp_path, number=0)
        metrics = trainer.validate(task.model)
        assert_metrics(metrics)
        law = "A model that is measured again has the same metrics"
        same(law, metrics, trainer.validate(task.model))
        trainer.close()

    def test_best_model(self, tmp_path: Path) -> None:
        """What it keeps is a model of its own, also for another process; or there is none."""
        trainer = self._ready(tmp_path, keeps_best=True)
        written = tmp_path / "best.safetensors"
        none = trainer.best_model(written)
        law = "Before it has trained, a trainer has no best model, and writes none"
        hold(law, none is None and not written.exists(), expected="None, no file", got=none)
        trainer.train(task := self._task(tmp_path, number=0))
        first = trainer.best_model(written)
        trainer.close()
        if first is None:
            law = "Without a best model no file is written"
            hold(law, not written.exists(), expected="no file", got=written)
            return
        assert_metrics(first)
        same(_ALIKE, tensors_of(task.model), tensors_of(written))
        before = written.read_bytes()
        again = self._begun(tmp_path, keeps_best=True)
        law = "What is best is kept in the context's workspace, and outlives the process"
        same(law, (first, before), (again.best_model(written), written.read_bytes()))
        again.close()

    def _trained(self, folder: Path) -> tuple[TrainTask, TrainResult]:
        trainer = self._ready(folder)
        task = self._task(folder, number=0)
        result = trainer.train(task)
        trainer.close()
        return task, result

    def _ready(self, folder: Path, *, keeps_best: bool = False) -> ClientTrainer:
        (folder / "workspace").mkdir(parents=True)
        return self._begun(folder, keeps_best=keeps_best)

    def _begun(self, folder: Path, *, keeps_best: bool) -> ClientTrainer:
        trainer = self.make()
        context = self.context(folder / "workspace")
        trainer.setup(replace(context, keeps_best=keeps_best))
        return trainer

    def _task(self, folder: Path, *, number: int, state: Path | None = None) -> TrainTask:
        here = folder / f"round_{number}"
        new_state, empty = here / "new_state", here / "state"
        new_state.mkdir(parents=True)
        empty.mkdir()
        self.model(here / "model.safetensors")
        return TrainTask(
            run_number=1,
            round=number,
            num_rounds=2,
            seed=99 + number,
            model=here / "model.safetensors",
            update=here / "update.safetensors",
            state=state or empty,
            new_state=new_state,
        )
