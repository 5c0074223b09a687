# SPDX-License-Identifier: Apache-2.0
"""What an MMAR's networks are, asked of the components that it declares."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.descriptions import RuleFacts, read_facts, read_reason, read_rule
from mmar_runner.deep.places import CHECKPOINT, made_model, server_place, trained_model
from mmar_runner.deep.questions import Questions
from mmar_runner.documents.words import printable
from mmar_runner.errors import FormatError, StorageError
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts
from mmar_runner.storage.safetensors_format import read_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.deep.options import DeepOptions
    from mmar_runner.deep.places import Place
    from mmar_runner.deep.questions import Child
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.spec import ClientSpec, MmarSpec, ServerSpec

_OWN_CODE: Final = (
    "Have it looked at with --allow-byoc, or with the --policy of a site that accepts it: it is "
    "built in a child process."
)


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
        self._questions = Questions(look, spec, options, folder)

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
        checkpoint = await self._checkpoint(server)
        async with self._questions.child("server") as child:
            made = await self._made(child, server)
            model = checkpoint or made
            asked = {
                "component": server.aggregator.declaration,
                "names": [] if model is None else list(model.tensors),
                "expression": server.exclude_vars,
            }
            place = server_place(self._look, ("aggregator",))
            rule = await self._questions.answer(child, place, ("aggregator", asked), read_rule)
        return made, checkpoint, rule or RuleFacts()

    async def _made(self, child: Child, server: ServerSpec) -> NetworkFacts | None:
        """Return what the persistor says of its model, or what lies in it if it says nothing."""
        if server.model_persistor is None:
            return None
        place, asked = made_model(self._look), {"component": server.model_persistor.declaration}
        answer = await self._questions.answer(child, place, ("persistor", asked), _described)
        if answer is None or answer[0] is not None or server.checkpoint is not None:
            return None if answer is None else answer[0]
        if self._spec.commands and not self._options.own_code:
            message = "The MMAR declares commands, which are code: no model was made."
            self._note(place, message, _OWN_CODE)
            return None
        file = self._folder / "initial.safetensors"
        made = {"destination": str(file), "seed": self._spec.seed}
        return await self._persisted(place, "MMAR666", ("initial_model", made), file)

    async def _client_side(self) -> tuple[NetworkFacts | None, int | None]:
        client, place = self._spec.client, trained_model(self._look)
        if client is None:
            return None, None
        if self._spec.byoc and not self._options.own_code:
            self._note(place, "The MMAR brings code of its own, which was not built.", _OWN_CODE)
            return None, None
        async with self._questions.child("client") as child:
            context = child.spec.context.to_json()
            asked = {"component": client.client_trainer.declaration, "context": context}
            answer = await self._questions.answer(child, place, ("trainer", asked), _explained)
            if answer is None:
                return None, None
            libraries = await self._questions.answer(child, place, ("stats", {}), _peak)
        facts, why = answer
        self._remark(place, client, facts, why)
        return facts, libraries

    def _remark(
        self, place: Place | None, client: ClientSpec, facts: NetworkFacts | None, why: str
    ) -> None:
        if facts is None:
            name = client.client_trainer.name
            message = f"'{name}' does not say what its network is: it was not compared."
            if why:
                message = f"{message[:-1]}, and nothing estimated of it; {printable(why)}."
            hint = "Nothing needs to be done; a trainer says it by its method describe."
            self._note(place, message, hint)
        elif facts.note:
            self._note(place, f"Of the trained network: {facts.note}.", None)

    async def _checkpoint(self, server: ServerSpec) -> NetworkFacts | None:
        if server.checkpoint is None:
            return None
        place, path = server_place(self._look, CHECKPOINT), self._spec.root / server.checkpoint
        if not path.is_file():
            return None  # the ordinary check says so
        if path.suffix == ".safetensors":
            return self._held(place, path)
        file = self._folder / "checkpoint.safetensors"
        asked = {"checkpoint": str(path), "destination": str(file)}
        return await self._persisted(place, "MMAR631", ("convert", asked), file)

    async def _persisted(
        self, place: Place | None, code: str, asked: tuple[str, Mapping[str, Any]], file: Path
    ) -> NetworkFacts | None:
        """Have the persistor write a model file, and return what that holds."""
        server = self._spec.server
        persistor = server.model_persistor if server is not None else None
        if persistor is None:
            return None
        hosted = {"role": "model_persistor", "component": persistor.declaration}
        async with self._questions.child("server", **hosted) as child:
            written = await self._questions.answer(child, place, asked, dict, code)
        if written is None:
            return None
        return self._held(place, file)

    def _held(self, place: Place | None, file: Path) -> NetworkFacts | None:
        """Return what a safetensors file holds, by its header."""
        try:
            tensors = read_header(file).tensors
        except (FormatError, StorageError) as error:
            if place is not None:
                place.find(self._look, "MMAR631", f"{file.name}: {error.message}.", error.hint)
            return None
        return NetworkFacts({n: TensorFacts(one.dtype, one.shape) for n, one in tensors.items()})

    def _note(self, place: Place | None, message: str, hint: str | None) -> None:
        if place is not None:
            place.find(self._look, "MMAR667", message, hint)


def _described(answer: Mapping[str, Any]) -> tuple[NetworkFacts | None]:
    """Return the facts in an answer, in a box: that none are known is an answer too."""
    return (read_facts(answer),)


def _explained(answer: Mapping[str, Any]) -> tuple[NetworkFacts | None, str]:
    """Return the facts in an answer, and why there are none."""
    return read_facts(answer), read_reason(answer)


def _peak(answer: Mapping[str, Any]) -> int | None:
    peak = answer.get("peak_rss_bytes")
    return peak if type(peak) is int and peak >= 0 else None
