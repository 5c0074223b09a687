# SPDX-License-Identifier: Apache-2.0
"""What a worker of a Ray cluster does: the tasks of some clients, in a trainer child of its own.

It is an actor of Ray, but knows nothing of Ray. Everything comes and goes as bytes: its
machine need not see the disk of the simulation. Trainers live in a child process as they do
everywhere else, so that limits, seeds and failures are those of a site.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.children.spec import ChildSpec
from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.client_trainer import tell_nobody
from mmar_runner.simulation.hosts import Asked
from mmar_runner.simulation.parcels import Changes, Parcel, Watched, pack, unpack
from mmar_runner.simulation.ray_messages import Answer, Question, Said, told_error
from mmar_runner.simulation.trainer_host import TrainerHost
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

#: Models that a worker keeps: a round's, and the one before it.
_MODELS: Final = 2


class RayWorker:
    """One worker: a folder, and a child that is started when it is needed.

    Args:
        scratch: Where its folder is made; None for the machine's usual place.
    """

    def __init__(self, scratch: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mmar-ray-", dir=scratch))
        self._log = self._folder / "trainers.log"
        self._host = TrainerHost(self._log)
        self._logged = 0
        self._models: list[str] = []
        self._workspaces: dict[str, Watched] = {}

    async def version(self) -> str:
        """Return of which version the runner is here."""
        return __version__

    async def equip(self, name: str, parcel: Parcel) -> None:
        """Take a folder that all clients share, such as the MMAR, under its name."""
        await in_thread(unpack, parcel, self._folder / name)

    async def work(self, question: Question, model: Any = None) -> AsyncIterator[Said]:
        """Have something done; yields steps, and last the answer.

        Args:
            question: What.
            model: The model's bytes, if it takes one.
        """
        steps: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()
        doing = asyncio.create_task(self._answer(question, model, steps))
        doing.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            while (step := await steps.get()) is not None:
                yield ("step", *step)
            yield ("end", doing.result())
        finally:
            doing.cancel()
            await asyncio.wait({doing})

    async def peak_bytes(self) -> int | None:
        """Return the most memory that the trainers' child has taken; None if it does not say."""
        return await self._host.peak_bytes()

    async def close(self) -> None:
        """End the child and remove the folder."""
        await self._host.close()
        await in_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _answer(
        self, question: Question, model: Any, steps: asyncio.Queue[tuple[int, int] | None]
    ) -> Answer:
        client = str(question.spec["context"]["client_name"])
        place = self._folder / "clients" / client
        result: Mapping[str, Any] = {}
        error, files = None, {}
        try:
            await in_thread(self._receive, question, place, model)
            result = await self._ask(question, place, steps)
            files = await in_thread(_fetched, question, place)
        except MmarRunnerError as failure:
            error = told_error(failure)
        watched = self._workspaces.get(client)  # none if it could not be written
        changes = Changes() if watched is None else await in_thread(watched.changes)
        log = await in_thread(self._new_log)
        return Answer(result, error, files, changes, log, str(self._folder))

    async def _ask(
        self, question: Question, place: Path, steps: asyncio.Queue[tuple[int, int] | None]
    ) -> Mapping[str, Any]:
        spec = self._here(ChildSpec.from_json(question.spec), place)
        if question.method == "prepare":
            await self._host.set_up(spec, question.timeout)
            return {}
        params = dict(question.params)
        params |= {name: str(place / name) for name in (*question.folders, *question.fetched)}
        if question.model:
            params["model"] = str(self._model(question.model))

        def told(done: int, total: int) -> None:
            steps.put_nowait((done, total))

        listens = told if question.method == "train" else None
        asked = Asked(spec, question.method, params, question.timeout, listens or tell_nobody)
        return await self._host.ask(asked)

    def _here(self, spec: ChildSpec, place: Path) -> ChildSpec:
        """Return a specification with the places of this worker."""
        mmar = self._folder / "mmar" / Path(spec.context.mmar).name
        context = replace(spec.context, mmar=str(mmar), workspace=str(place / "workspace"))
        return replace(
            spec,
            context=context,
            custom_dir=None if spec.custom_dir is None else str(mmar / "custom"),
            plugins_dir=None if spec.plugins_dir is None else str(self._folder / "plugins"),
        )

    def _receive(self, question: Question, place: Path, model: Any) -> None:
        """Write what a question brings."""
        workspace = place / "workspace"
        if question.workspace is not None:
            shutil.rmtree(workspace, ignore_errors=True)
            unpack(question.workspace, workspace)
            self._workspaces[place.name] = Watched(workspace)
        for name, parcel in question.folders.items():
            shutil.rmtree(place / name, ignore_errors=True)
            unpack(parcel, place / name)
        for name, kind in question.fetched.items():
            _empty(place / name, kind)
        if question.model and question.model not in self._models:
            with translated(self._folder):
                self._model(question.model).write_bytes(memoryview(model))
            self._models.append(question.model)
            for old in self._models[:-_MODELS]:
                self._model(old).unlink(missing_ok=True)
            del self._models[:-_MODELS]

    def _model(self, digest: str) -> Path:
        return self._folder / f"model_{digest}.safetensors"

    def _new_log(self) -> bytes:
        if not self._log.is_file():
            return b""
        with translated(self._log), self._log.open("rb") as file:
            file.seek(self._logged)
            said = file.read()
        self._logged += len(said)
        return said


def _empty(path: Path, kind: str) -> None:
    """Make room for what is to be written: a file that is not there, or an empty folder."""
    with translated(path):
        if kind == "folder":
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        else:
            path.unlink(missing_ok=True)


def _fetched(question: Question, place: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in question.fetched.items():
        path = place / name
        if kind == "folder":
            found[name] = pack(path)
        elif path.is_file():
            with translated(path):
                found[name] = path.read_bytes()
    return found
