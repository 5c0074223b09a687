# SPDX-License-Identifier: Apache-2.0
"""A trainer whose work is done by commands of the MMAR."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.interfaces.network_facts import NetworkFacts
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.best_model import BestModel
from mmar_runner_entry_points.commands import Commands
from mmar_runner_entry_points.outcome import Metadata, read_metadata, take_model

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask

#: The entry points that it knows.
TAKES: Final = ("startup", "train", "validate")
_UPDATE: Final = "update.safetensors"


class EntryPointTrainer(ClientTrainer):
    """Has a round trained by the command of the entry point ``train``.

    Args:
        entry_points_file: A file of the MMAR that holds entry points, such as ``fedn.yaml``.
        startup: ``{"command", "seconds", "memory_bytes"}``, run once before the first task.
        train: Likewise; run as ``COMMAND IN OUT`` every round.
        validate: Likewise; run as ``COMMAND IN OUT`` on every model that is to be measured.
        sends: What the command writes: ``weights``, or ``weight_diff``, their differences to the
            received model.
        environment: Variables of the commands' environment.
    """

    def __init__(
        self,
        entry_points_file: str | None = None,
        *,
        startup: Mapping[str, Any] | None = None,
        train: Mapping[str, Any] | None = None,
        validate: Mapping[str, Any] | None = None,
        sends: str = "weights",
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        self._declared = {
            "entry_points_file": entry_points_file,
            "startup": startup,
            "train": train,
            "validate": validate,
            "environment": environment,
        }
        self._sends = UpdateKind(sends)
        self._commands: Commands | None = None
        self._best: BestModel | None = None

    def setup(self, context: TrainerContext) -> None:
        """Make the commands' folders, and run the entry point ``startup``.

        Raises:
            NotAuthorizedError: Commands of the MMAR may not run here.
            TaskFailedError: They are not declared as they must be, or ``startup`` failed.
        """
        self._commands = Commands(context, self._declared, TAKES, "train")
        # What was received plus differences is no file here.
        if context.keeps_best and self._sends is UpdateKind.WEIGHTS:
            self._best = BestModel(context.workspace, "entry_points_best")
        self._commands.run("startup")

    def describe(self, context: TrainerContext) -> NetworkFacts:
        """Return that any model is taken: which one the commands know, only they can say."""
        del context
        return NetworkFacts({}, takes_any=True)

    def train(self, task: TrainTask) -> TrainResult:
        """Have the received model measured, if that is asked for, and then trained.

        Raises:
            TaskFailedError: A command did not succeed, or left something else than it must.
        """
        validation = self._ready.measure(task.model) if task.validate else {}
        told = self._trained(task)
        if self._best is not None:
            self._best.consider(self._ready.measure(task.update), partial(_copy, task.update))
        return TrainResult(
            told.num_examples,
            metrics=told.metrics,
            validation={**told.validation, **validation},
            kind=self._sends,
        )

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return what the entry point ``validate`` says of a model; nothing without one.

        Raises:
            TaskFailedError: It did not succeed, or what it wrote is no metrics.
        """
        return self._ready.measure(model)

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best of the models that were sent."""
        metrics = None if self._best is None else self._best.metrics()
        if self._best is not None and metrics is not None:
            _copy(self._best.path, destination)
        return metrics

    def close(self) -> None:
        """Delete the commands' folders."""
        if self._commands is not None:
            self._commands.close()
            self._commands = None

    @property
    def _ready(self) -> Commands:
        if self._commands is None:
            msg = "the trainer was not set up"
            raise RuntimeError(msg)
        return self._commands

    def _trained(self, task: TrainTask) -> Metadata:
        commands = self._ready
        out = commands.place.new_file(_UPDATE)
        metadata = commands.place.new_file(f"{_UPDATE}-metadata")
        told = {
            "RUN": task.run_number,
            "ROUND": task.round,
            "NUM_ROUNDS": task.num_rounds,
            "SEED": task.seed,
            "STATE": task.state,
            "NEW_STATE": task.new_state,
        }
        commands.run("train", task.model, out, told=told)
        said = read_metadata(metadata)
        take_model(out, task.update, task.model, "train")
        return said


def _copy(source: Path, destination: Path) -> None:
    with translated(destination):
        shutil.copyfile(source, destination)
