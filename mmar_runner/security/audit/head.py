# SPDX-License-Identifier: Apache-2.0
"""The head of an audit log: how far the log goes, so that none of its last lines can be removed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmar_runner.errors import AuditError
from mmar_runner.security.audit.line import KEEP_BOTH, Link
from mmar_runner.storage.bounded import read_bounded

#: Lines that are written, and brought to the disk, at once: as many may a crash leave
#: that the head does not know.
MAX_BATCH: Final = 64
#: The head is overwritten in place; one length lets no rest of an older one stay.
_HEAD_BYTES: Final = 160
_MOST: Final = (1 << 63) - 1
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Head:
    """What the head says.

    Attributes:
        end: The last line that it knows.
        size: Bytes of the file up to that line's line feed.
    """

    end: Link
    size: int


def head_path(path: Path) -> Path:
    """Return the name of a log's head."""
    return path.with_suffix(".head")


def read_head(path: Path) -> Head:
    """Return what the head of a log says.

    Args:
        path: The log, not the head.

    Raises:
        AuditError: AUDIT_HEAD, it is missing or cannot be understood.
    """
    head = head_path(path)
    try:
        data = read_bounded(head, _HEAD_BYTES)
        value = json.loads(data)
        found = Head(Link(int(value["count"]), str(value["hash"])), int(value["size"]))
        if encoded_head(found) == data and _is_possible(found):
            return found
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        msg = f"{head}: the head of the audit log is missing or damaged"
        hint = f"bring {head.name} from where the log was written; if it is so there, {KEEP_BOTH}"
        raise AuditError(msg, reason="AUDIT_HEAD", hint=hint) from error
    msg = f"{head}: the head of the audit log was altered"
    raise AuditError(msg, reason="AUDIT_HEAD", hint=KEEP_BOTH)


def encoded_head(head: Head) -> bytes:
    """Return the bytes of a head: always as many."""
    text = json.dumps({"count": head.end.count, "hash": head.end.hash, "size": head.size})
    return text.ljust(_HEAD_BYTES - 1).encode() + b"\n"


def _is_possible(head: Head) -> bool:
    """Return True for numbers that a file can have, and what can be a hash."""
    numbers = 0 <= head.end.count <= _MOST and 0 <= head.size <= _MOST
    return numbers and _HASH.fullmatch(head.end.hash) is not None
