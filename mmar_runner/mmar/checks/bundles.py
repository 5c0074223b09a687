# SPDX-License-Identifier: Apache-2.0
"""What does a bundle ask for that a trainer reads: expressions, class paths, files elsewhere?

Which component reads one, and which argument names its folder, its plugin states (fact
``bundle``). Every JSON and YAML file of the folder counts, whichever of them it will read: what
reads a configuration may follow a reference into another one.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import counted, did_you_mean, pointer_text
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import nested_places, value_at
from mmar_runner.mmar.bundle.reading import read_configurations
from mmar_runner.mmar.bundle.standing import BundleFact, Standing, asking
from mmar_runner.mmar.bundle.texts import EXPRESSION, MACRO, REFERENCE
from mmar_runner.mmar.checks.bundle_ways import Ways
from mmar_runner.mmar.sources.site_text import mmar_leaves
from mmar_runner.security.decision import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

_TRAINER: Final[JsonPath] = ("client_trainer", "args")

#: A text and where it stands.
Placed = tuple[str, Place]


@dataclass(slots=True)
class BundleFacts:
    """What the bundles of an MMAR ask for.

    Attributes:
        expressions: What would be evaluated, and what would be called that nobody registered.
        class_paths: Classes that are named by their path.
        path_arguments: Texts that lead out of the MMAR.
    """

    expressions: list[Placed] = field(default_factory=list)
    class_paths: list[Placed] = field(default_factory=list)
    path_arguments: list[Placed] = field(default_factory=list)


def check_bundles(look: Look) -> BundleFacts:
    """Look at every bundle that the client's trainer reads."""
    facts = BundleFacts()
    for path, fact in _readers(look):
        document = look.client
        if document is not None:
            _Bundle(look, document, path, fact, facts).check()
    if facts.expressions:
        first = facts.expressions[0][1]
        where = counted(len(facts.expressions), "place")
        look.findings.add(
            "MMAR633",
            f"The MMAR holds expressions ({where}); sites decide whether they are evaluated.",
            file=first.file,
            position=(first.line, first.column),
            pointer=first.pointer,
        )
    return facts


def _readers(look: Look) -> Iterator[tuple[JsonPath, BundleFact]]:
    """Yield the place of every declared component that reads a bundle, and what it states."""
    trainer = look.client_parts.singles.get(("client_trainer",))
    if trainer is None or trainer.spec is None or trainer.description is None:
        return
    args = trainer.spec.args
    for place, kind in nested_places(trainer.description.args_schema, args):
        declared = value_at(args, place)
        name = declared.get("path") or declared.get("name")
        if kind is not ComponentKind.CLIENT_ALGO or not isinstance(name, str):
            continue
        fact = BundleFact.of(look.resolver.facts(kind, name))
        if fact is not None:
            yield (*_TRAINER, *place, "args"), fact


class _Bundle:
    """One bundle, as one declaration names it."""

    def __init__(
        self, look: Look, client: Document, path: JsonPath, fact: BundleFact, facts: BundleFacts
    ) -> None:
        self._look = look
        self._client = client
        self._path = path
        self._fact = fact
        self._facts = facts
        self._standing = partial(look.resolver.standing, fact)

    def check(self) -> None:
        """Check folder, configurations and overrides."""
        self._asked(self._client, self._client.get(self._path, {}), self._path)
        root = self._root()
        if root is None:
            return
        replaced = self._replaced()
        documents = read_configurations(self._look.folder, root, self._look.findings)
        named = {posixpath.relpath(one.file, root): one for one in documents}
        Ways(self._look, self._client, self._path, self._fact, named).check()
        for document in documents:
            self._asked(document, document.value, ())
            for path, text in _texts(document.value, ()):
                if (not path or path[0] not in replaced) and mmar_leaves(text):
                    self._facts.path_arguments.append((text, _place(document, path)))

    def _root(self) -> str | None:
        """Return the bundle's folder in the MMAR; None, and a finding, if it is not there."""
        where = (*self._path, self._fact.root)
        named = self._client.get(where)
        if not isinstance(named, str) or self._client.is_unresolved(where):
            return None  # which was said
        root = posixpath.normpath(named)
        if posixpath.isabs(root) or root == ".." or root.startswith("../"):
            message = f"The bundle {named!r} is not in the MMAR."
            hint = "`mmar-runner import-bundle` puts it there."
            if not self._look.findings.has_at(self._client, where):
                self._look.findings.at(self._client, where, "MMAR610", message, hint=hint)
            return None
        if not any(file.startswith(f"{root}/") for file in self._look.folder.contents):
            message = f"There is no bundle {named!r} in the MMAR."
            hint = (
                did_you_mean(root, self._folders()) or "`mmar-runner import-bundle` puts it there."
            )
            self._look.findings.at(self._client, where, "MMAR621", message, hint=hint)
            return None
        return root

    def _folders(self) -> list[str]:
        return sorted({file.split("/")[0] for file in self._look.folder.contents if "/" in file})

    def _replaced(self) -> frozenset[str]:
        """Return keys of configurations that every argument for overrides replaces."""
        given = [self._client.get((*self._path, name)) or {} for name in self._fact.overrides]
        keys = [frozenset(one) for one in given if isinstance(one, dict)]
        return frozenset.intersection(*keys) if keys else frozenset()

    def _asked(self, document: Document, value: Any, path: JsonPath) -> None:
        for use, standing in asking(value, self._standing):
            placed = (use.text, _place(document, (*path, *use.path)))
            if standing is Standing.CLASS_PATH:
                self._facts.class_paths.append(placed)
            else:
                self._facts.expressions.append(placed)


def _place(document: Document, path: JsonPath) -> Place:
    origin = document.origin(path)
    line, column = document.source.locate(origin)
    return Place(document.file, line, column, pointer_text(origin))


def _texts(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    """Yield every text that stands for itself, and every key: metrics and files are named by some.

    Only a text that is a reference and nothing else stands for what it leads to.
    """
    if isinstance(value, str):
        refers = value.startswith(REFERENCE) and "/" not in value
        if not (refers or value.startswith((EXPRESSION, MACRO))):
            yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield (*path, key), key
            yield from _texts(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*path, index))
