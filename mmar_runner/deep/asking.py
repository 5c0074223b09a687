# SPDX-License-Identifier: Apache-2.0
"""Children asked what a declared network is; what they cannot say becomes a finding."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mmar_runner.children.descriptions import RuleFacts, read_facts, read_rule
from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.deep.places import (
    CHECKPOINT,
    made_model,
    part_named,
    server_place,
    trained_model,
)
from mmar_runner.errors import ChildDiedError, FormatError, StorageError, TaskError
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts
from mmar_runner.storage.safetensors_format import read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mmar_runner.deep.options import DeepOptions
    from mmar_runner.deep.places import Place
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.spec import MmarSpec

_T = TypeVar("_T")

#: Lines of a child's log that are repeated of one that died.
_LAST_LINES: Final = 1
_OWN_CODE: Final = (
    "Have it looked at with --allow-byoc, or with the --policy of a site that accepts it: it is "
    "built in a child process."
)
_BUILD: Final = "Correct the network's arguments, or the class; its constructor raised this."
_DIED: Final = "Look for what ends the process in the constructor, or for memory that ran out."
_READ: Final = "Name a checkpoint of this network, or declare the network it was made of."


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of an MMAR's networks; None is what is not known, or was not asked for.

    Attributes:
        server: The network of which the persistor makes the initial model.
        checkpoint: What the run begins with, if the MMAR names a checkpoint.
        client: The trainer's network.
        rule: What the aggregator makes of the model.
        libraries: What a trainer's process takes before there is a network, in bytes.
    """

    server: NetworkFacts | None = None
    checkpoint: NetworkFacts | None = None
    client: NetworkFacts | None = None
    rule: RuleFacts = field(default_factory=RuleFacts)
    libraries: int | None = None

    @property
    def model(self) -> NetworkFacts | None:
        """What the run begins with."""
        return self.checkpoint or self.server


class Asking:
    """Asks one MMAR's components.

    Args:
        look: The MMAR, and where findings go.
        spec: What it says.
        options: What may be run, and for how long.
        folder: An empty folder, for logs and files that are looked at.
    """

    def __init__(self, look: Look, spec: MmarSpec, options: DeepOptions, folder: Path) -> None:
        self._look = look
        self._spec = spec
        self._options = options
        self._folder = folder

    async def ask(self) -> Answers:
        """Return what the components of both sides say, asked side by side."""
        (server, checkpoint, rule), (client, libraries) = await asyncio.gather(
            self._server_side(), self._client_side()
        )
        return Answers(server, checkpoint, client, rule, libraries)

    async def _server_side(self) -> tuple[NetworkFacts | None, NetworkFacts | None, RuleFacts]:
        server = self._spec.server
        if server is None:
            return None, None, RuleFacts()
        checkpoint = await self._checkpoint()
        made: NetworkFacts | None = None
        async with _Child(self._child("server"), self._folder / "server.log") as child:
            if server.model_persistor is not None:
                place = made_model(self._look)
                asked = {"component": server.model_persistor.declaration}
                answer = await self._answer(child, place, "persistor", asked, _described)
                made = await self._made(place) if answer == (None,) else (answer or (None,))[0]
            model = checkpoint or made
            asked = {
                "component": server.aggregator.declaration,
                "names": [] if model is None else list(model.tensors),
                "expression": server.exclude_vars,
            }
            place = server_place(self._look, ("aggregator",))
            rule = await self._answer(child, place, "aggregator", asked, read_rule)
        return made, checkpoint, rule or RuleFacts()

    async def _client_side(self) -> tuple[NetworkFacts | None, int | None]:
        client = self._spec.client
        if client is None:
            return None, None
        place = trained_model(self._look)
        if self._spec.byoc and not self._options.own_code:
            self._note(place, "The MMAR brings code of its own, which was not built.", _OWN_CODE)
            return None, None
        async with _Child(self._child("client"), self._folder / "client.log") as child:
            context = child.spec.context.to_json()
            asked = {"component": client.client_trainer.declaration, "context": context}
            answer = await self._answer(child, place, "trainer", asked, _described)
            if answer is None:
                return None, None
            libraries = await self._answer(child, place, "stats", {}, _peak)
        facts = answer[0]
        if facts is None:
            name = client.client_trainer.name
            message = f"'{name}' does not say what its network is: it was not compared."
            hint = "Nothing needs to be done; a trainer says it by its method describe."
            self._note(place, message, hint)
        elif facts.note:
            self._note(place, f"Of the trained network: {facts.note}.", None)
        return facts, libraries

    async def _made(self, place: Place | None) -> NetworkFacts | None:
        """Have a persistor that describes nothing make its model, and read what that holds."""
        file = self._folder / "initial.safetensors"
        asked = {"destination": str(file), "seed": self._spec.seed}
        return await self._persisted(place, "MMAR666", "initial_model", asked, file)

    async def _checkpoint(self) -> NetworkFacts | None:
        server = self._spec.server
        if server is None or server.checkpoint is None:
            return None
        place, path = server_place(self._look, CHECKPOINT), self._spec.root / server.checkpoint
        if not path.is_file():
            message = f"{server.checkpoint} is not here: the checkpoint was not compared."
            self._note(place, message, "Nothing needs to be done where it is there.")
            return None
        if path.suffix == ".safetensors":
            return self._held(place, path)
        file = self._folder / "checkpoint.safetensors"
        asked = {"checkpoint": str(path), "destination": str(file)}
        return await self._persisted(place, "MMAR631", "convert", asked, file)

    async def _persisted(
        self, place: Place | None, code: str, method: str, asked: Mapping[str, Any], file: Path
    ) -> NetworkFacts | None:
        persistor = self._spec.server.model_persistor if self._spec.server is not None else None
        if persistor is None:
            return None
        log = self._folder / "persistor.log"
        spec = self._child("server", role="model_persistor", component=persistor.declaration)
        try:
            child = await ChildProcess.start(
                spec, log=log, timeout=self._options.describe_seconds
            )
            try:
                await child.request(method, asked, timeout=self._options.describe_seconds)
            finally:
                await child.close()
        except TaskError as error:
            self._failed(place, code, error, log)
            return None
        facts = self._held(place, file)
        file.unlink()  # it may be as large as models are
        return facts

    def _held(self, place: Place | None, file: Path) -> NetworkFacts | None:
        """Return what a safetensors file holds, by its header."""
        try:
            tensors = read_header(file).tensors
        except (FormatError, StorageError) as error:
            if place is not None:
                place.find(self._look, "MMAR631", f"{file.name}: {error.message}.", error.hint)
            return None
        return NetworkFacts({n: TensorFacts(one.dtype, one.shape) for n, one in tensors.items()})

    async def _answer(
        self,
        child: _Child,
        place: Place | None,
        method: str,
        params: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], _T],
    ) -> _T | None:
        """Return what a child answers, read; None if it cannot, which is then a finding."""
        try:
            answer = await child.request(method, params, timeout=self._options.describe_seconds)
            return read(answer)
        except TaskError as error:
            self._failed(place, "MMAR666", error, child.log)
            return None

    def _failed(self, place: Place | None, code: str, error: TaskError, log: Path) -> None:
        part = part_named(self._look, error.message)
        if (place := part or place) is None:
            return
        hint = without_log(error.hint, log)
        if code == "MMAR666":
            hint = hint or (_DIED if isinstance(error, ChildDiedError) else _BUILD)
        last = "; ".join(error.log[-_LAST_LINES:]) if isinstance(error, ChildDiedError) else ""
        said = f"{error.message}; it last said: {last}" if last.strip() else error.message
        place.find(self._look, code, f"{said[0].upper()}{said[1:]}.", hint or _READ)

    def _note(self, place: Place | None, message: str, hint: str | None) -> None:
        if place is not None:
            place.find(self._look, "MMAR667", message, hint)

    def _child(self, side: str, **more: Any) -> ChildSpec:
        spec, options = self._spec, self._options
        own_code = side == "client" and spec.byoc and options.own_code
        workspace = self._folder / side
        workspace.mkdir(exist_ok=True)
        return ChildSpec(
            **{"role": "description", **more},
            context=ChildContext(
                client_name=side,
                mmar=str(spec.root),
                workspace=str(workspace),
                train_config=dict(spec.train_config),
                validation_config=dict(spec.validation_config),
                variables=dict(spec.variables),
            ),
            custom_dir=str(spec.root / "custom") if own_code else None,
            plugins_dir=None if options.plugins_dir is None else str(options.plugins_dir),
            allowed_path_prefixes=options.allowed_path_prefixes,
        )


def _described(answer: Mapping[str, Any]) -> tuple[NetworkFacts | None]:
    """Return the facts in an answer, in a box: that none are known is an answer too."""
    return (read_facts(answer),)


def _peak(answer: Mapping[str, Any]) -> int | None:
    peak = answer.get("peak_rss_bytes")
    return peak if type(peak) is int and peak >= 0 else None


class _Child:
    """A child that is started with the first question, and again if it has died of one.

    Args:
        spec: What it is.
        log: Of what it prints.
    """

    def __init__(self, spec: ChildSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._process: ChildProcess | None = None

    async def __aenter__(self) -> _Child:
        """Begin; nothing is started yet."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """End the process."""
        if self._process is not None:
            await self._process.close()

    async def request(
        self, method: str, params: Mapping[str, Any], *, timeout: float
    ) -> dict[str, Any]:
        """Ask it.

        Raises:
            TaskError: It failed, took too long, or ended.
        """
        if self._process is None or not self._process.alive:
            self._process = await ChildProcess.start(self.spec, log=self.log, timeout=timeout)
        return await self._process.request(method, params, timeout=timeout)


def without_log(hint: str | None, log: Path) -> str | None:
    """Return a hint without the place of a log that is gone when it is read."""
    if hint is None:
        return None
    for words in (f"the traceback is in {log}", f"its log is {log}"):
        hint = hint.replace(words, "")
    return hint.strip("; ") or None
