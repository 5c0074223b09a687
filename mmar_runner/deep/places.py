# SPDX-License-Identifier: Apache-2.0
"""Where an MMAR declares what a deep check finds something about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import is_off, nested_places
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.checks.tensors import trained_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.codes import Severity
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.spec import ComponentSpec

_TRAINER: JsonPath = ("client_trainer",)
_PERSISTOR: JsonPath = ("model_persistor",)
CHECKPOINT: JsonPath = ("ckpt_preload_path",)


@dataclass(frozen=True, slots=True)
class Place:
    """A place of one of the MMAR's files.

    Attributes:
        document: The file.
        path: Where in its present value.
    """

    document: Document
    path: JsonPath

    @property
    def words(self) -> str:
        """The place as people write it."""
        return self.document.words(self.path)

    def find(
        self,
        look: Look,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        severity: Severity | None = None,
    ) -> None:
        """Add a finding here."""
        look.findings.at(self.document, self.path, code, message, hint=hint, severity=severity)


def server_place(look: Look, path: JsonPath) -> Place | None:
    """Return a place of the server's file; None if it was not asked for."""
    return None if look.server is None else Place(look.server, path)


def made_model(look: Look) -> Place | None:
    """Return where the network stands that the persistor makes; of none, the persistor."""
    found = look.server_parts.singles.get(_PERSISTOR)
    if found is None or found.spec is None or found.description is None:
        return server_place(look, _PERSISTOR)
    nested = nested_places(found.description.args_schema, found.spec.args)
    models = [path for path, kind in nested if kind is ComponentKind.MODEL]
    return server_place(look, (*_PERSISTOR, "args", *models[0]) if models else _PERSISTOR)


def trained_model(look: Look) -> Place | None:
    """Return where the network stands that is trained; where that is not known, the trainer."""
    train = look.files.train
    if train is not None:
        for path, _ in trained_models(look, train):
            return Place(train, path)
    return None if look.client is None else Place(look.client, _TRAINER)


def part_named(look: Look, message: str) -> Place | None:
    """Return where the part of the trainer stands that a sentence begins with, if it is one.

    Whoever builds a part begins with its kind: ``optimizer 'SGD' cannot be built: ...``.
    """
    train, word = look.files.train, message.partition(" ")[0]
    trainer = look.client_parts.singles.get(_TRAINER)
    if train is None or trainer is None or trainer.description is None or word == "model":
        return None
    found = [
        path
        for pattern, kind in trainer.description.extras.get("train_parts", {}).items()
        for path in (places(train.value, pattern) if kind == word else ())
    ]
    named = [path for path in found if f"'{_class_name(train.get(path))}'" in message]
    return next((Place(train, path) for path in (*named, *found)), None)


def part_placed(look: Look, text: str) -> Place | None:
    """Return the part of a workflow file whose place stands in a text."""
    for _, place in _parts(look):
        if re.search(rf"{re.escape(place.words)}\b", text):
            return place
    return None


def part_mentioned(look: Look, text: str) -> Place | None:
    """Return where the part stands that a text says something of, if it does.

    That is written ``Name: ...``, or the name stands in quotes; of several parts of that name
    it is the first of the section that the text begins with: ``validate: sample 3: Name: ...``.
    """
    section = text.partition(":")[0]
    found = [
        (match.start(), place.path[0] != section, index, place)
        for index, (name, place) in enumerate(_parts(look))
        if name and (match := re.search(rf"(?<![\w.]){re.escape(name)}(?=: |['`])", text))
    ]
    return min(found, key=lambda one: one[:3])[-1] if found else None


def _parts(look: Look) -> Iterator[tuple[str, Place]]:
    """Yield name and place of every part of a workflow that anybody reads."""
    files = {"train_parts": look.files.train, "validation_parts": look.files.validation}
    for reader in (*look.server_parts.every(), *look.client_parts.every()):
        for fact, document in files.items():
            if reader.description is None or document is None:
                continue
            for pattern in reader.description.extras.get(fact, ()):
                for path in places(document.value, pattern):
                    yield _class_name(document.get(path)), Place(document, path)


def _class_name(declared: object) -> str:
    """Return a declared class's name without package and label; empty if there is none."""
    if not isinstance(declared, dict) or is_off(declared):
        return ""
    written = str(declared.get("path") or declared.get("name") or "")
    return written.rpartition(".")[2].partition("#")[0]


def declaration(look: Look, component: ComponentSpec) -> Place | None:
    """Return where a component of the server's or the client's file is declared."""
    for document, parts in ((look.server, look.server_parts), (look.client, look.client_parts)):
        if document is None or document.file != component.file:
            continue
        for path, one in parts.singles.items():
            if one.spec == component:
                return Place(document, path)
        for path, several in parts.lists.items():
            for index, one in enumerate(several):
                if one.spec == component:
                    return Place(document, (*path, index))
    return None
