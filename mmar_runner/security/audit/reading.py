# SPDX-License-Identifier: Apache-2.0
"""Reading an audit log: every line is checked, its place in the chain, and the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import AuditError
from mmar_runner.security.audit.head import MAX_BATCH, read_head
from mmar_runner.security.audit.line import KEEP_BOTH, MAX_LINE_BYTES, Link, check_line, placed
from mmar_runner.storage.bounded import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """What a whole log says about itself.

    Attributes:
        lines: How many there are.
        first: Time of the first, ISO 8601, UTC; empty without one.
        last: Time of the last.
        head: The hash of the last; written down elsewhere, it proves all lines.
    """

    lines: int
    first: str
    last: str
    head: str


def read_audit(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log as values, each one checked, and the end too.

    A log that a running process writes may be read.

    Raises:
        AuditError: AUDIT_ALTERED, AUDIT_ORDER, AUDIT_TRUNCATED, AUDIT_TORN or AUDIT_HEAD,
            with file and line.
    """
    head = read_head(path).end
    end, known, rest = Link(), Link(), b""
    try:
        with opened(path) as file:
            for data in _lines(file):
                line, feed, _ = data.partition(b"\n")
                if not feed and len(data) <= MAX_LINE_BYTES:
                    rest = data  # nothing follows
                    break
                with placed(path, end.count + 1):
                    value, end = check_line(line, end)
                known = end if end.count == head.count else known
                yield value
    except OSError as error:
        msg = f"{path}: the audit log cannot be read: {error.strerror or error}"
        hint = "name the log itself, and let this user read it"
        raise AuditError(msg, reason="AUDIT_READ", hint=hint) from error
    _check_end(path, head, known, end)
    if rest:
        raise _torn(path, end.count + 1)


def verify_audit(path: Path) -> AuditSummary:
    """Check a whole log and its head.

    Raises:
        AuditError: As `read_audit`.
    """
    first = last = ""
    head = Link()
    for line in read_audit(path):
        first = first or line["time"]
        last, head = line["time"], Link(line["seq"], line["hash"])
    return AuditSummary(head.count, first, last, head.hash)


def _torn(path: Path, number: int) -> AuditError:
    msg = f"{path}:{number}: the last line is not whole: its writer was stopped in it"
    hint = "the program puts it aside, and records that, when it starts again"
    return AuditError(msg, reason="AUDIT_TORN", hint=hint)


def _check_end(path: Path, head: Link, known: Link, end: Link) -> None:
    if known != head:
        what = "lines are missing at the end" if end.count < head.count else "it is another chain"
        msg = f"{path}:{min(end.count + 1, head.count)}: {what}: the head names {head.count} lines"
        raise AuditError(msg, reason="AUDIT_TRUNCATED", hint=KEEP_BOTH)
    # Read once more: a running process may have written meanwhile.
    if end.count > read_head(path).end.count + MAX_BATCH:
        msg = f"{path}: the head is older than the lines"
        raise AuditError(msg, reason="AUDIT_HEAD", hint="was it put back from a copy?")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a log, the last one without a line feed if it is torn."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        yield line
