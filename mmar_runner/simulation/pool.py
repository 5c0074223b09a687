# SPDX-License-Identifier: Apache-2.0
"""A pool of hosts: each has the trainers of several simulated clients.

A host is a child of this process, or a worker of a Ray cluster.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mmar_runner.client.tasks.encoding import EncodingChild
from mmar_runner.client.tasks.training import task_params, train_result
from mmar_runner.errors import MmarRunnerError
from mmar_runner.simulation.hosts import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.client.tasks.encoding import Encoder
    from mmar_runner.client.tasks.training import Trainer
    from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask
    from mmar_runner.simulation.hosts import Host


class TrainerPool:
    """Gives every client a place in one of a few hosts.

    A client always goes to the same host, so that what its trainer keeps in memory
    is there again in the next round.

    Args:
        names: The clients, in the order in which they are dealt out.
        hosts: Where their trainers live; the pool ends them.
        logs: The folder for what its encoder prints.
    """

    def __init__(self, names: list[str], hosts: Sequence[Host], logs: Path) -> None:
        self._logs = logs
        self._encoder: EncodingChild | None = None
        self._hosts = {name: hosts[index % len(hosts)] for index, name in enumerate(names)}

    def trainer(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Trainer:
        """Return the trainer of the client that the specification names."""
        del log  # children are shared, and so is what they print
        return _PooledTrainer(self._hosts[spec.context.client_name], spec, timeout)

    def encoder(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> Encoder:
        """Return the encoder that all clients share."""
        del log
        if self._encoder is None:
            self._encoder = EncodingChild(spec, log=self._logs / "codec.log", timeout=timeout)
        return _SharedEncoder(self._encoder)

    async def peak_bytes(self) -> int | None:
        """Return the most memory that a host has taken; None if none lives that says it."""
        peaks = [await host.peak_bytes() for host in set(self._hosts.values())]
        return max((peak for peak in peaks if peak is not None), default=None)

    async def close(self) -> None:
        """End all hosts."""
        await asyncio.gather(*(host.close() for host in set(self._hosts.values())))
        if self._encoder is not None:
            await self._encoder.close()


class _SharedEncoder:
    """The pool's encoder as one client has it: the pool ends it."""

    def __init__(self, encoder: EncodingChild) -> None:
        self._encoder = encoder

    async def encode(self, source: Path, destination: Path, codec: str) -> float:
        """Write ``source`` in a codec to ``destination``; see `Encoder`."""
        return await self._encoder.encode(source, destination, codec)

    async def close(self) -> None:
        """Leave the child alone."""


class _PooledTrainer:
    """One client's trainer at a host that others use too."""

    def __init__(self, host: Host, spec: ChildSpec, timeout: float | None) -> None:
        self._host = host
        self._spec = spec
        self._timeout = timeout
        self._preparing: asyncio.Task[None] | None = None
        self.waited = 0.0

    def prepare(self) -> None:
        """Begin to have the trainer built, if it is the first in its child.

        That one brings what all import. Of the others most may never be asked for anything.
        """
        if self._host.is_idle:
            self._host.is_idle = False
            self._preparing = asyncio.create_task(self._host.set_up(self._spec, self._timeout))

    async def train(self, task: TrainTask) -> TrainResult:
        """Have one round trained.

        Raises:
            TaskError: The component could not be built, raised, outran its limit, or
                the process ended.
        """
        await self._prepared()
        asked = time.monotonic()

        def begins() -> None:
            self.waited = time.monotonic() - asked

        params = task_params(task)
        train = Asked(self._spec, "train", params, self._timeout, task.progress, begins)
        return train_result(await self._host.ask(train))

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have something else done; see `Trainer`.

        Raises:
            TaskError: As `train`.
        """
        await self._prepared()
        return await self._host.ask(Asked(self._spec, method, params, self._timeout))

    async def _prepared(self) -> None:
        preparing, self._preparing = self._preparing, None
        if preparing is not None:
            await preparing

    async def close(self) -> None:
        """Leave the child alone: the pool ends it with all its trainers."""
        preparing, self._preparing = self._preparing, None
        if preparing is not None:
            preparing.cancel()
            with suppress(asyncio.CancelledError, MmarRunnerError):
                await preparing
