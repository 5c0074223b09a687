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

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.words import did_you_mean, pointer_text
from mmar_runner.documents.yaml_reader import read_yaml
from mmar_runner.interfaces.entry_points import (
    ENTRY_POINTS,
    ENVIRONMENT_KEY,
    FACT,
    FILE_ARGUMENT,
    FILE_KEY,
    FILE_SCHEMA,
    MAX_FILE_BYTES,
    split_command,
)
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
_KINDS: Final = {"required": "MMAR401", "unknown": "MMAR404", "type": "MMAR402"}
#: What older packages declare besides, and nothing here calls.
_NOT_CALLED: Final = "predict"


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
        in_file: Mapping[str, Any] = {}
        file = self._args.get(FILE_ARGUMENT)
        if isinstance(file, str) and (source := self._file(file)) is not None:
            in_file = source.value[FILE_KEY]
            yield from self._of_file(file, source)
        for name in self._takes:
            yield from self._of_argument(name)
        if not any(self._has(held, self._needs) for held in (self._args, in_file)):
            self._lacking(file)

    @staticmethod
    def _has(held: Mapping[str, Any], name: str) -> bool:
        entry = held.get(name)
        return isinstance(entry, Mapping) and "command" in entry

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
            self._say("MMAR672", f"The command of '{name}' {error}.", place, hint)
            return str(command), place
        text = shlex.join(words)
        message = f"The command of '{name}' is code; sites decide whether they run it."
        self._say("MMAR670", message, place)
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
        self._say("MMAR621", message, place, hint or mend)

    # -- a file ----------------------------------------------------------------------

    def _file(self, file: str) -> JsonSource | None:
        """Return a file of entry points that can be read and has the shape; else say why not."""
        where = (*self._path, "args", FILE_ARGUMENT)
        findings, document = self._look.findings, self._document
        if file not in self._look.folder.contents:
            if not findings.has_at(document, where):
                message = f"The file of entry points, {file!r}, is not in the MMAR."
                hint = did_you_mean(file, self._look.folder.contents)
                findings.at(document, where, "MMAR621", message, hint=hint)
            return None
        try:
            text = self._look.folder.read_bytes(file, MAX_FILE_BYTES).decode()
        except (OSError, ValueError) as error:
            findings.add("MMAR672", f"The file cannot be read: {error}.", file=file)
            return None
        source = read_yaml(text)
        return source if self._is_sound(file, source) else None

    def _is_sound(self, file: str, source: JsonSource) -> bool:
        for problem in source.problems:
            place = Place(file, *source.position(problem.offset), "")
            self._say("MMAR672", problem.message, place, problem.hint)
        if source.problems:
            return False
        wrong = faults(FILE_SCHEMA, source.value)
        for fault in wrong:
            line, column = source.locate(fault.path, key=fault.at_key)
            place = Place(file, line, column, pointer_text(fault.path))
            code = _KINDS.get(fault.kind, "MMAR403")
            self._say(code, f"{pointer_text(fault.path)}: {fault.message}", place, fault.hint)
        # An unknown key hides nothing: what the others say holds.
        return not any(fault.kind != "unknown" for fault in wrong)

    def _of_file(self, file: str, source: JsonSource) -> Iterator[tuple[str, Place]]:
        self._unused(file, source)
        for name in self._takes:
            path = (FILE_KEY, name, "command")
            entry = source.value[FILE_KEY].get(name)
            if entry is None or "command" not in entry:
                continue
            place = Place(file, *source.locate(path), pointer_text(path))
            if "command" not in (self._args.get(name) or {}):
                yield self._judged(name, entry["command"], place)

    def _unused(self, file: str, source: JsonSource) -> None:
        """Say of entry points and environments that nobody here makes anything of them."""
        for name in source.value[FILE_KEY]:
            if name in ENTRY_POINTS:
                continue
            path = (FILE_KEY, name)
            place = Place(file, *source.locate(path, key=True), pointer_text(path))
            known = ", ".join(ENTRY_POINTS)
            if name == _NOT_CALLED:
                message, code = f"The entry point '{name}' is not called here.", "MMAR211"
                self._say(code, message, place, "Nothing needs to be done.")
            else:
                hint = did_you_mean(name, ENTRY_POINTS) or f"There are: {known}."
                self._say("MMAR404", f"There is no entry point '{name}'.", place, hint)
        if ENVIRONMENT_KEY in source.value:
            place = Place(file, *source.locate((ENVIRONMENT_KEY,), key=True), f"/{ENVIRONMENT_KEY}")
            message = "No Python environment is made: commands find what a site has installed."
            self._say("MMAR673", message, place)

    def _say(self, code: str, message: str, place: Place, hint: str | None = None) -> None:
        self._look.findings.add(
            code,
            message,
            file=place.file,
            position=(place.line, place.column),
            pointer=place.pointer,
            hint=hint,
        )
