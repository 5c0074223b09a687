# SPDX-License-Identifier: Apache-2.0
"""Trainers as plain objects, for tests that need no child process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmar_runner.children.building import trainer_context
from mmar_runner.errors import MmarRunnerError, TaskFailedError
from mmar_runner.hooks.components import blueprint
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.encoding import encode_file
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.client.tasks.encoding import Encoder
    from mmar_runner.client.tasks.training import Trainer
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.interfaces.client_trainer import (
        ClientTrainer,
        TrainerContext,
        TrainResult,
        TrainTask,
    )

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class ObjectTrainers:
    """Gives every client a trainer that is an object of this process.

    A trainer runs in a worker thread: a test may look into it, and one that exits or
    crashes takes the test with it.

    Args:
        make: Returns the trainer of a client, by its name.
        catalog: What is installed, for the blueprints that trainers ask for.
    """

    def __init__(self, make: Callable[[str], ClientTrainer], catalog: ComponentCatalog) -> None:
        self._make = make
        self._catalog = catalog

    def trainer(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Trainer:
        """Return the trainer of the client that the specification names."""
        del log, timeout  # a thread prints where the test prints, and cannot be killed
        trainer = self._make(spec.context.client_name)
        return _ObjectTrainer(trainer, spec, self._catalog)

    def encoder(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Encoder:
        """Return an encoder that is an object of this process too."""
        del spec, log, timeout
        return _ThreadEncoder()


class _ThreadEncoder:
    async def encode(self, source: Path, destination: Path, codec: str) -> float:
        """Write ``source`` in a codec to ``destination``; return what that lost.

        Raises:
            StorageError: CODEC, a value is more than the codec holds.
        """
        return await in_thread(encode_file, source, destination, CODECS[codec])

    async def close(self) -> None:
        """Do nothing."""


class _ObjectTrainer:
    def __init__(self, trainer: ClientTrainer, spec: ChildSpec, catalog: ComponentCatalog) -> None:
        self._trainer = trainer
        self._context = _context(spec, catalog)
        self._setting_up: asyncio.Task[None] | None = None
        self.waited = 0.0

    def prepare(self) -> None:
        """Begin to set the trainer up."""
        self._setting_up = asyncio.create_task(in_thread(self._trainer.setup, self._context))

    async def train(self, task: TrainTask) -> TrainResult:
        """Have one round trained.

        Raises:
            TaskFailedError: The trainer raised.
        """
        return await self._answer(self._trainer.train, task)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have a model validated, or the best one written.

        Raises:
            TaskFailedError: The trainer raised.
        """
        if method == "validate":
            metrics = await self._answer(self._trainer.validate, Path(params["model"]))
            return {"metrics": dict(metrics)}
        best = await self._answer(self._trainer.best_model, Path(params["destination"]))
        return {"metrics": dict(best or {}), "there": best is not None}

    async def _answer(self, call: Callable[[_Asked], _Answer], asked: _Asked) -> _Answer:
        try:
            if self._setting_up is not None:
                await self._setting_up
            return await in_thread(call, asked)
        except MmarRunnerError:
            raise
        except Exception as error:
            msg = f"{call.__name__} raised {type(error).__name__}: {error}"
            raise TaskFailedError(msg) from error

    async def close(self) -> None:
        """Close the trainer."""
        await in_thread(self._trainer.close)


def _context(spec: ChildSpec, catalog: ComponentCatalog) -> TrainerContext:
    custom = None if spec.custom_dir is None else Path(spec.custom_dir)
    return trainer_context(
        spec.context,
        lambda kind, declared: blueprint(catalog, kind, declared, custom_dir=custom),
    )
