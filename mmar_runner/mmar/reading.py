# SPDX-License-Identifier: Apache-2.0
"""Text and JSON files of an MMAR: encodings, positions, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.words import pointer_text
from mmar_runner.mmar.document import Document

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonSource, Problem
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
#: In so many bytes of a text in a wider encoding there is a zero.
_FIRST = 4
_UTF8_BOM = b"\xef\xbb\xbf"


def read_document(folder: MmarFolder, file: str, findings: Findings) -> Document | None:
    """Read one JSON file of the folder.

    Returns:
        The document, or None if there is nothing in it to go on with; then a finding
        says why.
    """
    text = read_text(folder, file, findings, folder.limits.json_bytes)
    if text is None:
        return None
    source = read_json(text, folder.limits)
    for problem in source.problems:
        _report(source, file, problem, findings)
    if not source.reliable:
        return None
    if not isinstance(source.value, dict):
        if not source.doubtful:
            position = source.locate(())
            message = "The file must hold a JSON object."
            hint = "Begin it with '{' and end it with '}'."
            findings.add("MMAR402", message, file=file, position=position, hint=hint)
        return None
    return Document(file, source, source.value)


def read_text(folder: MmarFolder, file: str, findings: Findings, limit: int) -> str | None:
    """Return a UTF-8 text file of the folder; None, and a finding, if it is not one."""
    try:
        data = folder.read_bytes(file, limit)
    except ValueError:
        findings.add("MMAR105", f"The file is larger than {limit} bytes.", file=file)
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        findings.add("MMAR108", f"The file cannot be read: {reason}.", file=file)
        return None
    return _decode(data, file, findings)


def _decode(data: bytes, file: str, findings: Findings) -> str | None:
    hint = "Save it as UTF-8 without byte-order mark."
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            message = f"The file is {encoding}, not UTF-8."
            findings.add("MMAR114", message, file=file, position=(1, 1), hint=hint)
            return None
    if b"\0" in data[:_FIRST]:
        message = "The file is UTF-16 or UTF-32 without a mark, or no text at all."
        findings.add("MMAR114", message, file=file, position=(1, 1), hint=hint)
        return None
    if data.startswith(_UTF8_BOM):
        message = "The file begins with a byte-order mark."
        findings.add("MMAR113", message, file=file, position=(1, 1), hint=hint)
        data = data[len(_UTF8_BOM) :]
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"The byte 0x{data[error.start]:02x} is not UTF-8."
        findings.add("MMAR114", message, file=file, position=(line, column), hint=hint)
        return None


def _report(source: JsonSource, file: str, problem: Problem, findings: Findings) -> None:
    findings.add(
        problem.code,
        problem.message,
        file=file,
        position=source.position(problem.offset),
        pointer=pointer_text(problem.path),
        hint=problem.hint,
    )
