# SPDX-License-Identifier: Apache-2.0
"""One line of the audit log: what it may hold, and how it is chained to the one before.

A line is one JSON object, keys sorted, ASCII only, so that its bytes follow from its
values. ``hash`` is sha256 over those bytes without ``hash`` itself; ``previous`` is the
``hash`` of the line before. Pure: nothing here touches a file.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from mmar_runner.errors import AuditError

Decision: TypeAlias = Literal["accepted", "refused", "noted"]

#: What the first line says was before it.
NO_LINE: Final = "0" * 64
#: The longest line, in bytes; a longer one was not written by this program.
MAX_LINE_BYTES: Final = 64 * 1024
#: The mend of a log that is not what was written: it is evidence.
KEEP_BOTH: Final = (
    "keep the log and its head as they are, and find out who changed them; a new log begins "
    "once both are moved aside"
)

_MAX_DATA_BYTES: Final = 16 * 1024
_MAX_TEXT: Final = 400
_MAX_ITEMS: Final = 16
_MAX_DEPTH: Final = 2
_MAX_INT: Final = 1 << 63
_SECRET_WORDS: Final = ("token", "secret", "password", "private", "session_key", "credential")
_WITHHELD: Final = "(withheld)"
_KEYS: Final = frozenset(
    ("action", "data", "decision", "hash", "peer", "previous", "reason", "seq", "time", "who")
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded, already made harmless.

    Attributes:
        time: Seconds since 1970, UTC.
        who: The identity that the certificate proved; empty if none did.
        peer: The address it came from.
        action: What was asked for, such as ``Register``.
        decision: What was decided.
        reason: The stable id of a refusal; else empty.
        data: Facts about it.
    """

    time: float
    who: str
    peer: str
    action: str
    decision: Decision
    reason: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain: how many lines it has, and the hash of the last."""

    count: int = 0
    hash: str = NO_LINE


def clean_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as a line may hold them: short, flat, without control characters.

    Raises:
        AuditError: AUDIT_SECRET, a name promises something that no log may hold.
    """
    for key in data:
        if _secret(key):
            msg = f"{key!r} must not be written to an audit log"
            raise AuditError(msg, reason="AUDIT_SECRET", hint="record a digest, or leave it out")
    cleaned = {clean_text(key): _clean(value, _MAX_DEPTH) for key, value in data.items()}
    size = len(_encoded(cleaned))
    return cleaned if size <= _MAX_DATA_BYTES else {"left_out_bytes": size}


def clean_text(text: str) -> str:
    """Return a text with control characters spelled out, cut to 400 letters.

    What looks like a PEM private key is withheld.
    """
    if "PRIVATE KEY" in text:
        return _WITHHELD
    cut = text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
    return cut if cut.isascii() and cut.isprintable() else "".join(map(_visible, cut))


def link(entry: Entry, before: Link) -> tuple[bytes, Link]:
    """Return the line of an entry, with its line feed, and the chain's new end."""
    line = {
        "seq": before.count + 1,
        "time": datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds"),
        "who": entry.who,
        "peer": entry.peer,
        "action": entry.action,
        "decision": entry.decision,
        "reason": entry.reason,
        "data": dict(entry.data),
        "previous": before.hash,
    }
    digest = sha256(_encoded(line)).hexdigest()
    return _encoded({**line, "hash": digest}) + b"\n", Link(before.count + 1, digest)


def check_line(data: bytes, before: Link) -> tuple[dict[str, Any], Link]:
    """Check that a line is whole and follows on the one before.

    Args:
        data: Its bytes, without the line feed.
        before: The chain up to it.

    Returns:
        What it says, and the chain with it.

    Raises:
        AuditError: AUDIT_ALTERED or AUDIT_ORDER; the sentence names no place.
    """
    line = _parsed(data)
    content = {key: value for key, value in line.items() if key != "hash"}
    if line["hash"] != sha256(_encoded(content)).hexdigest() or _encoded(line) != data:
        raise AuditError("it was altered: its hash is another", reason="AUDIT_ALTERED")
    if line["seq"] != before.count + 1 or line["previous"] != before.hash:
        msg = "it does not follow on the line before: a line is missing, or in another place"
        raise AuditError(msg, reason="AUDIT_ORDER")
    return line, Link(before.count + 1, line["hash"])


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        line = json.loads(data) if len(data) <= MAX_LINE_BYTES else None
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict) or line.keys() != _KEYS:
        raise AuditError("it was altered: it is no line of this log", reason="AUDIT_ALTERED")
    return line


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def _clean(value: Any, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < _MAX_INT else clean_text(str(value.bit_length()) + " bit")
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth:
            pairs = list(value.items())[:_MAX_ITEMS]
            return {
                clean_text(str(key)): _WITHHELD if _secret(str(key)) else _clean(one, depth - 1)
                for key, one in pairs
            }
        case list() | tuple() if depth:
            return [_clean(one, depth - 1) for one in value[:_MAX_ITEMS]]
        case _:
            return clean_text(str(value))


def _visible(letter: str) -> str:
    """Return a letter, or its escape if it would steer a screen or hide something."""
    if letter == " " or unicodedata.category(letter)[0] not in "CZ":
        return letter
    return letter.encode("unicode_escape", "backslashreplace").decode()


@contextmanager
def placed(path: Path, number: int) -> Iterator[None]:
    """Let an error of `check_line` leave with file and line."""
    try:
        yield
    except AuditError as error:
        msg = f"{path}:{number}: {error.message}"
        raise AuditError(msg, reason=error.reason, hint=error.hint or KEEP_BOTH) from error
