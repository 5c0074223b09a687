# SPDX-License-Identifier: Apache-2.0
"""A finding, and the collection that never stops at the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmar_runner.documents.words import pointer_text
from mmar_runner.mmar.codes import CODES, Severity
from mmar_runner.mmar.mends import MENDS

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document


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
        self._found: dict[tuple[object, ...], Finding] = {}

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
        self._found.setdefault((code, file, line, column, pointer, said), finding)

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
    ) -> None:
        """Add a finding about a place in a document, unless its value is in doubt.

        Args:
            document: The document, whose ``path`` may be that after an upgrade.
            path: The place.
            code: What it is.
            message: One sentence.
            hint: The mend.
            key: Point at the member's key, not at its value.
            severity: In place of the code's own.
        """
        origin = document.origin(path)
        if document.in_doubt(origin):
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
        pointer = pointer_text(document.origin(path))
        for key, finding in self._found.items():
            if (finding.code, finding.file, finding.pointer) == (code, document.file, pointer):
                self._found[key] = replace(finding, severity=Severity.ERROR)

    def with_code(self, code: str) -> list[Finding]:
        """Return all findings with a code."""
        return [finding for finding in self._found.values() if finding.code == code]

    def remove(self, findings: Iterable[Finding]) -> None:
        """Take findings back that another one explains."""
        gone = set(findings)
        self._found = {k: f for k, f in self._found.items() if f not in gone}

    def mentions(self, file: str) -> bool:
        """Return True if there is a finding about a file."""
        return any(finding.file == file for finding in self._found.values())

    def has_at(self, document: Document, path: JsonPath) -> bool:
        """Return True if something was found at a place already."""
        place = (document.file, pointer_text(document.origin(path)))
        return any((finding.file, finding.pointer) == place for finding in self._found.values())

    def result(self, *, strict: bool) -> Sequence[Finding]:
        """Return all findings in order; ``strict`` makes old-archive warnings errors."""
        found = list(self._found.values())
        if strict:
            found = [
                replace(f, severity=Severity.ERROR) if CODES[f.code].old_archive else f
                for f in found
            ]
        return tuple(sorted(found, key=lambda f: f.sort_key))
