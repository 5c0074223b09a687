# SPDX-License-Identifier: Apache-2.0
"""Does a bundle's configuration name what is not there: another part of it, a class, a file?

What a bundle's reader makes of which files its plugin states (fact ``bundle``). Only those files
count here: nobody follows a reference in another one.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.errors import FormatError
from mmar_runner.mmar.bundle.merged import merged
from mmar_runner.mmar.bundle.references import (
    Way,
    leading_nowhere,
    macro_of_file,
    missing_in,
    needed_ways,
    texts_of,
)
from mmar_runner.mmar.bundle.standing import Standing
from mmar_runner.mmar.bundle.texts import EXPRESSION, MACRO, REFERENCE, TARGET, split_id
from mmar_runner.mmar.codes import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.bundle.references import Nowhere
    from mmar_runner.mmar.bundle.standing import BundleFact, Configuration
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

_NOT_NEEDED: Final = "Nothing that is trained or evaluated asks for it."
#: Letters of a text that a sentence repeats.
_LETTERS: Final = 80
#: Faults that are told of one bundle; names that nobody has are looked for one by one.
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place of a file."""

    document: Document
    path: JsonPath


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong at a place, and whether a run fails of it."""

    spot: _Spot
    code: str
    message: str
    hint: str | None
    certain: bool


class Ways:
    """The configurations that one reader makes of one bundle.

    Args:
        look: The MMAR, and where findings go.
        client: The file that declares the reader.
        path: Where its arguments stand in it.
        fact: What it states.
        documents: The bundle's files that could be read, by their path in the bundle.
    """

    def __init__(
        self,
        look: Look,
        client: Document,
        path: JsonPath,
        fact: BundleFact,
        documents: Mapping[str, Document],
    ) -> None:
        self._look = look
        self._client = client
        self._path = path
        self._fact = fact
        self._documents = documents
        self._faults: dict[tuple[str, JsonPath, str], _Fault] = {}

    def check(self) -> None:
        """Check each configuration; what cannot be merged, or is not all there, is left alone."""
        for one in self._fact.configurations:
            files = self._files(one)
            documents = [self._documents[file] for file in files if file in self._documents]
            if files and len(documents) == len(files):
                self._check(one, documents)
        for fault in self._faults.values():
            self._look.findings.at(
                fault.spot.document,
                fault.spot.path,
                fault.code,
                fault.message if fault.certain else f"{fault.message} {_NOT_NEEDED}",
                hint=fault.hint,
                severity=None if fault.certain else Severity.WARNING,
            )

    def _files(self, one: Configuration) -> list[str]:
        stated = self._client.get((*self._path, one.files), list(one.default))
        if stated == "default":
            stated = list(one.default)
        named = stated if isinstance(stated, list) else [stated]
        return [posixpath.normpath(file) for file in named if isinstance(file, str)]

    def _check(self, one: Configuration, documents: list[Document]) -> None:
        where = (*self._path, one.overrides)
        given = self._client.get(where)
        overrides = given if isinstance(given, dict) else {}
        values = [*(document.value for document in documents), overrides]
        try:
            config = merged(values)
        except FormatError as error:
            place = _Spot(self._client, where) if overrides else _Spot(documents[-1], ())
            self._find(place, f"{error.message[:1].upper()}{error.message[1:]}.", None)
            return
        config = {**dict.fromkeys(one.given, ""), **config}
        spots = [(document, (), document.value) for document in documents]
        places = _Places([*spots, (self._client, where, overrides)])
        for nowhere in leading_nowhere(config, one.resolves):
            self._nowhere(nowhere, places)
        needed = needed_ways(config, one.resolves)
        for way, text in texts_of(config):
            spot = places.of(way, text)
            self._of_file(text, spot)
            if way and split_id(way[-1])[-1] == TARGET:
                self._target(text, spot, certain=way in needed)
                self._arguments(text, spot, certain=way in needed)

    @property
    def _is_full(self) -> bool:
        """Whether no more is looked for: words that are near cost time."""
        return len(self._faults) >= _MOST

    def _nowhere(self, found: Nowhere, places: _Places) -> None:
        if self._is_full:
            return
        written = found.reference if found.text.startswith(EXPRESSION) else found.text
        hint = did_you_mean(found.missing, found.known)
        message = f"'{_shown(written)}' leads nowhere: there is no '{_shown(found.missing)}'."
        self._find(places.of(found.way, found.text), message, hint, certain=found.certain)

    def _of_file(self, text: str, spot: _Spot | None) -> None:
        """Look whether a macro of another file of the bundle leads somewhere."""
        named = macro_of_file(text)
        if named is None or posixpath.isabs(named[0]) or self._is_full:
            return
        file, way = posixpath.normpath(named[0]), named[1]
        document = self._documents.get(file)
        if document is None:
            message = f"'{_shown(text)}' leads nowhere: the bundle has no '{_shown(file)}'."
            self._find(spot, message, did_you_mean(file, self._documents))
            return
        lost = missing_in(document.value, way)
        if lost is not None:
            message = f"'{_shown(text)}' leads nowhere: {file} has no '{_shown(lost[0])}'."
            self._find(spot, message, did_you_mean(*lost))

    def _target(self, name: str, spot: _Spot | None, *, certain: bool) -> None:
        """Say of what is to be called that nothing has that name, and which is near."""
        if self._is_full or name.startswith((EXPRESSION, REFERENCE, MACRO)):
            return
        if self._look.resolver.standing(self._fact, name) is not Standing.UNKNOWN:
            return
        fault = self._look.resolver.no_such_target(self._fact, name)
        if fault is not None:
            self._find(spot, *fault, code="MMAR503", certain=certain)

    def _arguments(self, name: str, spot: _Spot | None, *, certain: bool) -> None:
        """Say which arguments a class does not take any more under their names."""
        beside = None if spot is None else spot.document.get(spot.path[:-1])
        if spot is None or not isinstance(beside, dict) or self._is_full:
            return
        for old, new, since in self._look.resolver.older_arguments(self._fact, name, beside):
            what = f"'{_shown(name)}' takes no '{old}' any more: it is '{new}' ({since})."
            hint = f"Write '{new}' in its place: a bundle is read as it stands."
            at = _Spot(spot.document, (*spot.path[:-1], old))
            self._find(at, what, hint, code="MMAR512", certain=certain)

    def _find(
        self,
        spot: _Spot | None,
        message: str,
        hint: str | None,
        *,
        code: str = "MMAR517",
        certain: bool = True,
    ) -> None:
        """Take note of a fault; the same one may be in several configurations."""
        if spot is None:
            return
        key = (spot.document.file, spot.path, message)
        before = self._faults.get(key)
        certain = certain or (before is not None and before.certain)
        self._faults[key] = _Fault(spot, code, message, hint, certain)


def _shown(text: str) -> str:
    return printable(text[:_LETTERS])


class _Places:
    """Where texts of a merged configuration stand in the files of which it was made.

    Args:
        sources: Documents, places in them, and what stands there; the strongest comes last.
    """

    def __init__(self, sources: Iterable[tuple[Document, JsonPath, Any]]) -> None:
        self._exactly: dict[tuple[Way, str], _Spot] = {}
        self._anywhere: dict[str, _Spot] = {}
        for document, begin, value in sources:
            for path, way, text in _placed(value, begin, ()):
                spot = _Spot(document, path)
                self._exactly[way, text] = spot
                self._anywhere.setdefault(text, spot)

    def of(self, way: Way, text: str) -> _Spot | None:
        """Return where a text stands; what was appended to a list, by what it says."""
        return self._exactly.get((way, text)) or self._anywhere.get(text)


def _placed(value: Any, path: JsonPath, way: Way) -> Iterator[tuple[JsonPath, Way, str]]:
    """Yield every text with its place in a file, and in what the file is merged into."""
    if isinstance(value, str):
        yield path, way, value
    elif isinstance(value, dict):
        for key, child in value.items():
            names = split_id(key.removeprefix("+")) if not way else [key]
            yield from _placed(child, (*path, key), (*way, *names))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _placed(child, (*path, index), (*way, str(index)))
