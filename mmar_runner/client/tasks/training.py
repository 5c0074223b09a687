# SPDX-License-Identifier: Apache-2.0
"""Where a client's trainer lives, and how it is asked.

The session asks a `Trainer`. Usually that is a child process of its own, kept between
rounds; a simulation gives several clients' trainers to the children of one pool.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.results import read_result
from mmar_runner.client.files.values import values_of
from mmar_runner.client.tasks.encoding import EncodingChild
from mmar_runner.errors import MmarRunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.client.tasks.encoding import Encoder
    from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask


class Trainer(Protocol):
    """One client's trainer in one run, wherever it lives.

    Attributes:
        waited: For how many seconds the last task waited for its turn, where trainers of several
            clients take turns: nobody worked at it then.
    """

    waited: float

    def prepare(self) -> None:
        """Begin to get ready, so that the first task need not wait for it."""
        ...

    async def train(self, task: TrainTask) -> TrainResult:
        """Have one round trained; ``task.update`` is written and closed.

        Raises:
            TaskError: The task did not succeed; another one may be asked for.
        """
        ...

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have something else done: ``validate`` a model, or write the ``best_model``.

        Raises:
            TaskError: It did not succeed.
        """
        ...

    async def close(self) -> None:
        """End it, even in the middle of a task."""
        ...


class TrainerHosts(Protocol):
    """Gives every client a trainer."""

    def trainer(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Trainer:
        """Return the trainer that a specification describes.

        Args:
            spec: Its component and context; the context names the client.
            log: The file that gets what it prints.
            timeout: Seconds a task may take, or None.
        """
        ...

    def encoder(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Encoder:
        """Return what writes a client's updates in the run's codec.

        Args:
            spec: Of the child that does it.
            log: The file that gets what it prints.
            timeout: Seconds that one file may take, or None.
        """
        ...


class OwnChild:
    """A trainer in a child process of its own.

    A child that has died is replaced when the next task comes.
    """

    def __init__(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> None:
        self._spec = spec
        self._log = log
        self._timeout = timeout
        self._child: asyncio.Task[ChildProcess] | None = None
        self.waited = 0.0

    def prepare(self) -> None:
        """Start the child."""
        self._child = self._start()

    async def train(self, task: TrainTask) -> TrainResult:
        """Have one round trained.

        Raises:
            TaskError: The component could not be built, raised, outran its limit, made no
                further step, or the process ended.
        """
        child = await self._living()
        answer = await child.request(
            "train",
            task_params(task),
            timeout=self._timeout,
            stall=self._spec.stall_seconds,
            told=task.progress,
        )
        return train_result(answer)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have something else done; see `Trainer`.

        Raises:
            TaskError: As `train`.
        """
        return await (await self._living()).request(method, params, timeout=self._timeout)

    async def close(self) -> None:
        """End the child, even in the middle of a task."""
        if self._child is None:
            return
        starting, self._child = self._child, None
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().close()

    def _start(self) -> asyncio.Task[ChildProcess]:
        starting = ChildProcess.start(self._spec, log=self._log, timeout=self._timeout)
        return asyncio.create_task(starting)

    async def _living(self) -> ChildProcess:
        if self._child is None or _has_died(self._child):
            self._child = self._start()
        try:
            return await self._child
        except MmarRunnerError:
            self._child = None  # the next task tries anew
            raise


class OwnChildren:
    """Gives every client a child process of its own."""

    def trainer(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Trainer:
        """Return a trainer in a child process of its own."""
        return OwnChild(spec, log=log, timeout=timeout)

    def encoder(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Encoder:
        """Return an encoder in a child process of its own."""
        return EncodingChild(spec, log=log, timeout=timeout)


def task_params(task: TrainTask) -> dict[str, Any]:
    """Return a task as the JSON object that a child understands."""
    fields = values_of(task)
    del fields["progress"]  # steps come back over the socket
    return {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}


def train_result(answer: Mapping[str, Any]) -> TrainResult:
    """Return a child's answer as the value it stands for.

    Raises:
        TaskFailedError: It stands for none.
    """
    return read_result(answer)


def _has_died(child: asyncio.Task[ChildProcess]) -> bool:
    # A start that failed is told to the task that comes first.
    started = child.done() and not child.cancelled() and child.exception() is None
    return started and not child.result().alive
