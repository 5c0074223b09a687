# SPDX-License-Identifier: Apache-2.0
"""Commands that an MMAR declares: are they whole, and do their files lie in it?

Which components start commands their plugins state (`interfaces.entry_points`). Every command is
code, whatever program it names, and is given to whoever judges the MMAR.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.documents.words import did_you_mean, pointer_text, printable
from mmar_runner.interfaces.entry_points import (
    ENTRY_POINTS,
    FACT,
    FILE_ARGUMENT,
    FILE_KEY,
    split_command,
)
from mmar_runner.mmar.checks.entry_points_file import read_file, say, say_unused
from mmar_runner.security.decision import Place

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath, JsonSource
    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document

#: Every command of an MMAR: its text, and where it stands.
Commands: TypeAlias = tuple[tuple[str, Place], ...]

#: Words of a command that name a file of the package: scripts, by their suffix.
_SCRIPT: Final = re.compile(r"[^\s{}$*?;&|<>=:]+\.(py|pyc|sh|bash|R|r|jl|js|mjs|pl|rb|lua|m)")
#: How much of a command a sentence repeats.
_LONGEST: Final = 60


def check_entry_points(look: Look) -> Commands:
    """Say what is wrong with commands, and return all of them."""
    found: dict[tuple[str, Place], None] = {}
    for document, path, description in look.resolver.starting:
        found |= dict.fromkeys(_Component(look, document, path, description).commands())
    return tuple(found)


class _Component:
    """One component that starts commands, where it is declared."""

    def __init__(
        self, look: Look, document: Document, path: JsonPath, description: ComponentDescription
    ) -> None:
        self._look = look
        self._document = document
        self._path = path
        args = document.get((*path, "args"), {})
        self._args: Mapping[str, Any] = args if isinstance(args, Mapping) else {}
        stated: Mapping[str, Any] = description.extras[FACT]
        self._takes: tuple[str, ...] = tuple(stated["takes"])
        self._needs: str = stated["needs"]

    def commands(self) -> Iterator[tuple[str, Place]]:
        """Check the commands, and yield them."""
        file = self._args.get(FILE_ARGUMENT)
        source = self._file(file) if isinstance(file, str) else None
        if isinstance(file, str) and source is not None:
            yield from self._of_file(file, source)
        for name in self._takes:
            yield from self._of_argument(name)
        in_file = {} if source is None else source.value[FILE_KEY]
        has = any("command" in (held.get(self._needs) or {}) for held in (self._args, in_file))
        if not has and (source is not None or not isinstance(file, str)):
            self._lacking(file)  # of a file that cannot be used it is not known

    def _lacking(self, file: object) -> None:
        what = ENTRY_POINTS[self._needs]
        message = f"The entry point '{self._needs}' has no command: it {what}."
        hint = f'Declare it: "{self._needs}": {{"command": ["python3", "custom/FILE.py"]}}.'
        if isinstance(file, str):
            hint = f"Declare it in {file}, or as an argument here."
        where = (*self._path, "args") if self._args else self._path
        self._look.findings.at(self._document, where, "MMAR671", message, hint=hint)

    def _of_argument(self, name: str) -> Iterator[tuple[str, Place]]:
        path = (*self._path, "args", name, "command")
        command = self._document.get(path)
        if command is None:
            return
        origin = self._document.origin(path)
        line, column = self._document.source.locate(origin)
        place = Place(self._document.file, line, column, pointer_text(origin))
        yield self._judged(name, command, place)

    def _judged(self, name: str, command: Any, place: Place) -> tuple[str, Place]:
        """Check one command, and return it as text with its place."""
        try:
            words = split_command(command)
        except (ValueError, TypeError) as error:
            hint = "Close every quotation, and name a program; or write it as a list of texts."
            say(self._look, "MMAR672", f"The command of '{name}' {error}.", place, hint)
            return str(command), place
        text = shlex.join(words)
        message = f"The command of '{name}' is code, {_shown(text)}; sites decide about it."
        say(self._look, "MMAR670", message, place)
        for word in words:
            self._require_file(name, word, place)
        return text, place

    def _require_file(self, name: str, word: str, place: Place) -> None:
        plain = posixpath.normpath(word)
        if not _SCRIPT.fullmatch(word) or word.startswith(("-", "/")):
            return
        if plain in self._look.folder.contents:
            return
        message = f"The command of '{name}' names {word!r}, which is not in the MMAR."
        hint = did_you_mean(plain, self._look.folder.contents)
        mend = "Add the file, or correct its path: it begins at the MMAR's own folder."
        say(self._look, "MMAR621", message, place, hint or mend)

    # -- a file ----------------------------------------------------------------------

    def _file(self, file: str) -> JsonSource | None:
        """Return a file of entry points that can be used; else say why not."""
        if file in self._look.folder.contents:
            return read_file(self._look, file)
        where = (*self._path, "args", FILE_ARGUMENT)
        if not self._look.findings.has_at(self._document, where):
            message = f"The file of entry points, {file!r}, is not in the MMAR."
            hint = did_you_mean(file, self._look.folder.contents)
            self._look.findings.at(self._document, where, "MMAR621", message, hint=hint)
        return None

    def _of_file(self, file: str, source: JsonSource) -> Iterator[tuple[str, Place]]:
        say_unused(self._look, file, source)
        for name in self._takes:
            path = (FILE_KEY, name, "command")
            entry = source.value[FILE_KEY].get(name)
            if entry is None or "command" not in entry:
                continue
            place = Place(file, *source.locate(path), pointer_text(path))
            if "command" not in (self._args.get(name) or {}):
                yield self._judged(name, entry["command"], place)


def _shown(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"'{printable(short)}'"
