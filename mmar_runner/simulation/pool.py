# SPDX-License-Identifier: Apache-2.0
"""A pool of trainer children: each hosts the trainers of several simulated clients."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.process import ChildProcess
from mmar_runner.client.tasks.encoding import EncodingChild
from mmar_runner.client.tasks.training import task_params, train_result
from mmar_runner.errors import MmarRunnerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.client.tasks.encoding import Encoder
    from mmar_runner.client.tasks.training import Trainer
    from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask

#: How long a child may take to say what it has taken, in seconds.
_STATS_SECONDS: Final = 5.0


class TrainerPool:
    """Gives every client a place in one of a few children.

    A client always goes to the same child, so that what its trainer keeps in memory
    is there again in the next round.

    Args:
        names: The clients, in the order in which they are dealt out.
        size: How many children there are.
        logs: The folder for what the children print.
    """

    def __init__(self, names: list[str], size: int, logs: Path) -> None:
        hosts = [_Host(logs / f"trainers_{index}.log") for index in range(size)]
        self._logs = logs
        self._encoder: EncodingChild | None = None
        self._hosts = {name: hosts[index % size] for index, name in enumerate(names)}

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
        """Return the most memory that a child has taken; None if none lives that says it."""
        peaks = [await host.peak_bytes() for host in set(self._hosts.values())]
        return max((peak for peak in peaks if peak is not None), default=None)

    async def close(self) -> None:
        """End all children."""
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


class _Host:
    """One child, started when the first of its clients needs it, and again if it dies."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._child: ChildProcess | None = None
        self._clients: set[str] = set()
        self._turn = asyncio.Lock()
        self.is_idle = True

    async def set_up(self, spec: ChildSpec, timeout: float | None) -> None:
        """Have a client's trainer built, unless it is there."""
        async with self._turn:
            await self._ready(spec, timeout)

    async def train(self, spec: ChildSpec, task: TrainTask, timeout: float | None) -> TrainResult:
        """Have one client's round trained; clients of one child take turns."""
        # A turn is waited for here and not in the child, where the limit would run.
        async with self._turn:
            child = await self._ready(spec, timeout)
            params: dict[str, Any] = task_params(task)
            params["client"] = spec.context.client_name
            answer = await child.request(
                "train", params, timeout=timeout, stall=spec.stall_seconds, told=task.progress
            )
            return train_result(answer)

    async def ask(
        self, spec: ChildSpec, method: str, params: Mapping[str, Any], timeout: float | None
    ) -> Mapping[str, Any]:
        """Have one client's trainer do something else; clients of one child take turns."""
        async with self._turn:
            child = await self._ready(spec, timeout)
            asked = {**params, "client": spec.context.client_name}
            return await child.request(method, asked, timeout=timeout)

    async def peak_bytes(self) -> int | None:
        """Return the most memory that the child has taken; None if it does not say."""
        if self._child is None or not self._child.alive:
            return None
        with suppress(MmarRunnerError):
            answer = await self._child.request("stats", {}, timeout=_STATS_SECONDS)
            peak = answer.get("peak_rss_bytes")
            return peak if type(peak) is int else None
        return None

    async def close(self) -> None:
        """End the child, even in the middle of a task."""
        if self._child is not None:
            await self._child.close()
            self._child = None

    async def _ready(self, spec: ChildSpec, timeout: float | None) -> ChildProcess:
        child = self._child
        if child is None or not child.alive:
            self._clients.clear()
            empty = replace(spec, component={})
            child = await ChildProcess.start(empty, log=self._log, timeout=timeout)
            self._child = child
        client = spec.context.client_name
        if client not in self._clients:
            context = spec.context.to_json()
            params = {"client": client, "component": spec.component, "context": context}
            await child.request("setup", params, timeout=timeout)
            self._clients.add(client)
        return child


class _PooledTrainer:
    """One client's trainer in a child that others use too."""

    def __init__(self, host: _Host, spec: ChildSpec, timeout: float | None) -> None:
        self._host = host
        self._spec = spec
        self._timeout = timeout
        self._preparing: asyncio.Task[None] | None = None

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
        return await self._host.train(self._spec, task, self._timeout)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have something else done; see `Trainer`.

        Raises:
            TaskError: As `train`.
        """
        await self._prepared()
        return await self._host.ask(self._spec, method, params, self._timeout)

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
