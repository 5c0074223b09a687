# SPDX-License-Identifier: Apache-2.0
"""Trainers at a worker of a Ray cluster, asked from here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ChildDiedError
from mmar_runner.simulation.hosts import Asked
from mmar_runner.simulation.parcels import pack, unpack
from mmar_runner.simulation.ray_messages import Answer, Question, raised_error
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress
    from mmar_runner.simulation.ray_cluster import RayCluster

#: What of a question's parameters is a folder that goes to the worker, and what comes back.
_FOLDERS: Final = ("state",)
_FETCHED: Final = {"update": "file", "destination": "file", "new_state": "folder"}
_MODEL: Final = "model"
#: How long a worker may take to end its child in order, in seconds.
_CLOSE_SECONDS: Final = 10.0


class RayHost:
    """One worker of a cluster; another one takes its place if it dies.

    Args:
        cluster: Where it lives.
        log: The file that gets what its trainers print.

    Attributes:
        is_idle: Whether no client has asked for anything yet.
    """

    def __init__(self, cluster: RayCluster, log: Path) -> None:
        self._cluster = cluster
        self._log = log
        self._worker: Any = None
        self._knows: set[str] = set()
        self._turn = asyncio.Lock()
        self.is_idle = True

    async def set_up(self, spec: ChildSpec, timeout: float | None) -> None:
        """Have a client's trainer built, unless it is there."""
        await self.ask(Asked(spec, "prepare", {}, timeout))

    async def ask(self, asked: Asked) -> Mapping[str, Any]:
        """Have one client's trainer do something; clients of one worker take turns.

        Raises:
            TaskError: It did not succeed, or the worker has died.
        """
        async with self._turn:
            asked.begins()
            self._worker = self._worker or await self._cluster.worker(asked.spec)
            digest, model = "", None
            if _MODEL in asked.params:
                digest, model = await self._cluster.model(asked.params[_MODEL])
            question = await in_thread(self._question, asked)
            question = replace(question, model=digest)
            try:
                answer = await self._answered(question, model, asked.told)
            except self._cluster.errors as error:
                raise self._died(error) from error
            if answer.error is None:  # else it may have failed for want of the client's folder
                self._knows.add(asked.client)
            await in_thread(self._take, answer, asked)
            if answer.error is not None:
                raise raised_error(answer.error, answer.place, self._log)
            return answer.result

    async def peak_bytes(self) -> int | None:
        """Return the most memory that the worker's trainers have taken; None if unknown."""
        if self._worker is None:
            return None
        with suppress(*self._cluster.errors):
            peak: int | None = await self._worker.peak_bytes.remote()
            return peak
        return None

    async def close(self) -> None:
        """End the worker, even in the middle of a task."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with suppress(TimeoutError, *self._cluster.errors):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await worker.close.remote()
        self._cluster.end_worker(worker)

    def _question(self, asked: Asked) -> Question:
        apart, params = {*_FOLDERS, *_FETCHED, _MODEL}, asked.params
        workspace = None
        if asked.client not in self._knows:
            workspace = pack(Path(asked.spec.context.workspace))
        return Question(
            spec=asked.spec.to_json(),
            method=asked.method,
            params={name: value for name, value in params.items() if name not in apart},
            timeout=asked.timeout,
            folders={name: pack(Path(params[name])) for name in _FOLDERS if name in params},
            fetched={name: kind for name, kind in _FETCHED.items() if name in params},
            workspace=workspace,
        )

    async def _answered(self, question: Question, model: Any, told: Progress | None) -> Answer:
        doing = self._worker.work.options(num_returns="streaming").remote(question, model)
        try:
            async for coming in doing:
                match await coming:
                    case ("step", int(done), int(total)):
                        if told is not None:
                            told(done, total)
                    case ("end", Answer() as answer):
                        return answer
        except asyncio.CancelledError:
            self._cluster.cancel(doing)
            raise
        raise ChildDiedError("the Ray worker ended without an answer")

    def _take(self, answer: Answer, asked: Asked) -> None:
        """Write what came back to where it belongs."""
        answer.workspace.apply(Path(asked.spec.context.workspace))
        if answer.log or answer.error is not None:  # whose sentence names it
            with translated(self._log):
                self._log.parent.mkdir(parents=True, exist_ok=True)
                with self._log.open("ab") as file:
                    file.write(answer.log)
        for name, found in answer.files.items():
            path = Path(asked.params[name])
            if isinstance(found, bytes):
                with translated(path):
                    path.write_bytes(found)
            else:
                unpack(found, path)

    def _died(self, error: Exception) -> ChildDiedError:
        """Give a worker up; the next task gets another one."""
        worker, self._worker = self._worker, None
        self._knows.clear()
        if worker is not None:
            self._cluster.end_worker(worker)
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = f"what its trainers printed is in {self._log}"
        return ChildDiedError(f"the Ray worker has died: {first}", hint=hint)
