# SPDX-License-Identifier: Apache-2.0
"""A finding, and the collection that never stops at the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from mmar_runner.documents.words import pointer_text
from mmar_runner.mmar.codes import CODES, Severity
from mmar_runner.mmar.mends import MENDS

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document


#: What makes two findings the same one.
_Key: TypeAlias = tuple[str, str, int, int, str, str]
#: A code, a file, and a pointer in it.
_Place: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        code: Stable id, a key of `codes.CODES`.
        severity: How much it matters.
        file: The file, relative to the MMAR's root; empty for the folder itself.
        line: Line, from 1; 0 if it concerns the whole file.
        column: Column in characters, from 1; 0 likewise.
        pointer: JSON pointer in the file as it is on disk; empty for the whole file.
        message: What is wrong, one sentence.
        hint: How to mend it, or None.
    """

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    pointer: str
    message: str
    hint: str | None = None

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order of a report: by file, then by place."""
        return (self.file, self.line, self.column, self.code, self.message)


class Findings:
    """Collects findings; the same one is kept once."""

    def __init__(self) -> None:
        self._found: dict[_Key, Finding] = {}
        # By file and pointer: a hostile file has so many that nobody may look through all.
        self._at: dict[str, dict[str, list[_Key]]] = {}
        #: Where a cause was found first, and which places follow from that one.
        self._first: dict[tuple[str, ...], _Place] = {}
        self._follows: dict[_Place, _Place] = {}
        #: What follows from a place, in the order in which it was found.
        self._waiting: dict[_Place, list[tuple[Document, JsonPath]]] = {}

    def add(
        self,
        code: str,
        message: str,
        *,
        file: str = "",
        position: tuple[int, int] = (0, 0),
        pointer: str = "",
        hint: str | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Add a finding about a file or the folder."""
        line, column = position
        kind = severity or CODES[code].severity
        mend = hint or MENDS[code]
        finding = Finding(code, kind, file, line, column, pointer, message, mend)
        # A value has one wrong type, whoever says so first.
        said = "" if code == "MMAR402" else message
        key = (code, file, line, column, pointer, said)
        if key not in self._found:
            self._found[key] = finding
            self._at.setdefault(file, {}).setdefault(pointer, []).append(key)

    def at(
        self,
        document: Document,
        path: JsonPath,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        key: bool = False,
        severity: Severity | None = None,
        cause: tuple[str, ...] | None = None,
    ) -> None:
        """Add a finding about a place in a document, unless its value is in doubt.

        What follows from a key that stands twice makes an error of that finding and is no
        other one; of what has the same cause only the first is kept.

        Args:
            document: The document, whose ``path`` may be that after an upgrade.
            path: The place.
            code: What it is.
            message: One sentence.
            hint: The mend.
            key: Point at the member's key, not at its value.
            severity: In place of the code's own.
            cause: What it comes from, such as a variable that stands in many places.
        """
        origin = document.origin(path)
        if document.in_doubt(origin):
            return
        if origin in document.source.overridden:
            if (severity or CODES[code].severity) is Severity.ERROR:
                self.raise_severity(document, path, "MMAR111")
            return
        place = (code, document.file, pointer_text(origin))
        if cause is not None and self._first.setdefault((code, *cause), place) != place:
            first = self._follows[place] = self._first[(code, *cause)]
            self._waiting.setdefault(first, []).append((document, origin))
            return
        self.add(
            code,
            message,
            file=document.file,
            position=document.source.locate(origin, key=key),
            pointer=pointer_text(origin),
            hint=hint,
            severity=severity,
        )

    def raise_severity(self, document: Document, path: JsonPath, code: str) -> None:
        """Make what was found at a place an error."""
        place = (code, document.file, pointer_text(document.origin(path)))
        _, file, pointer = self._follows.get(place, place)
        for key in self._at.get(file, {}).get(pointer, ()):
            if (finding := self._found[key]).code == code:
                self._found[key] = replace(finding, severity=Severity.ERROR)

    def forget_unread(self, document: Document, code: str) -> None:
        """Take back what was found where nobody reads a document (`Document.idle`).

        What has the same cause elsewhere is told there.
        """
        if not document.idle:
            return
        gone = [
            found
            for found in self.with_code(code)
            if found.file == document.file and document.is_idle(found.pointer)
        ]
        self.remove(gone)
        now = {(one.code, one.file, one.pointer): self._told_elsewhere(one) for one in gone}
        if now:
            first = {cause: now.get(at, at) for cause, at in self._first.items()}
            self._first = {cause: at for cause, at in first.items() if at is not None}
            self._follows = {at: now.get(of) or of for at, of in self._follows.items()}

    def _told_elsewhere(self, finding: Finding) -> _Place | None:
        """Put a finding where what follows from its place stands and is read, if it does."""
        code, message, hint = finding.code, finding.message, finding.hint
        waiting = self._waiting.pop((code, finding.file, finding.pointer), [])
        for index, (document, origin) in enumerate(waiting):
            pointer = pointer_text(origin)
            if document.is_idle(pointer):
                continue
            self.add(
                code,
                message,
                file=document.file,
                position=document.source.locate(origin),
                pointer=pointer,
                hint=hint,
                severity=finding.severity,
            )
            place = (code, document.file, pointer)
            self._waiting[place] = waiting[index + 1 :]
            return place
        return None

    def with_code(self, code: str) -> list[Finding]:
        """Return all findings with a code."""
        return [finding for finding in self._found.values() if finding.code == code]

    def remove(self, findings: Iterable[Finding]) -> None:
        """Take findings back that another one explains."""
        gone = set(findings)
        left = {key: finding for key, finding in self._found.items() if finding not in gone}
        self._found, self._at = left, {}
        for key, finding in left.items():
            self._at.setdefault(finding.file, {}).setdefault(finding.pointer, []).append(key)

    def mentions(self, file: str) -> bool:
        """Return True if there is a finding about a file."""
        return file in self._at

    def has_faults(self) -> bool:
        """Return True if something was found that is more than a note."""
        return any(finding.severity is not Severity.NOTE for finding in self._found.values())

    def faulty(self, file: str) -> bool:
        """Return True if something is wrong in a file."""
        return any(f.file == file and f.severity is Severity.ERROR for f in self._found.values())

    def has_within(self, document: Document, path: JsonPath) -> bool:
        """Return True if more than a note was found at a place already, or in what it holds."""
        place = pointer_text(document.origin(path))
        return any(
            finding.file == document.file
            and finding.severity is not Severity.NOTE
            and f"{finding.pointer}/".startswith(f"{place}/")
            for finding in self._found.values()
        )

    def is_wrong_at(self, document: Document, path: JsonPath) -> bool:
        """Return True if a place holds what cannot be, as was said."""
        keys = self._at.get(document.file, {}).get(pointer_text(document.origin(path)), ())
        return any(self._found[key].severity is Severity.ERROR for key in keys)

    def has_at(self, document: Document, path: JsonPath) -> bool:
        """Return True if something was found at a place already."""
        return pointer_text(document.origin(path)) in self._at.get(document.file, {})

    def result(self, *, strict: bool) -> Sequence[Finding]:
        """Return all findings in order; ``strict`` makes old-archive warnings errors."""
        found = list(self._found.values())
        if strict:
            found = [
                replace(f, severity=Severity.ERROR) if CODES[f.code].old_archive else f
                for f in found
            ]
        return tuple(sorted(found, key=lambda f: f.sort_key))
