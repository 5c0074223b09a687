# SPDX-License-Identifier: Apache-2.0
"""Says who works in a folder already, where an audit log is somebody else's."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKS: Final = Path("/proc/locks")
#: What it says of a lock: ``1: FLOCK ADVISORY WRITE 4711 08:01:131 0 EOF``, with the process,
#: 0 if that cannot be seen from here, and the file's inode.
_LOCK: Final = re.compile(r"FLOCK +\w+ +\w+ +([1-9]\d*) +[0-9a-f]+:[0-9a-f]+:(\d+) ")


@contextmanager
def naming_who_runs(log: Path, what: str) -> Iterator[None]:
    """Turn the error of an audit log that is locked into one that says by whom.

    Args:
        log: The log.
        what: The question that is the mend, such as ``is this server running already?``.

    Raises:
        AuditError: AUDIT_LOCKED, with that question.
    """
    try:
        yield
    except AuditError as error:
        if error.reason != "AUDIT_LOCKED":
            raise
        pid = holder(log)
        message = error.message if pid is None else f"{error.message} (pid {pid})"
        raise AuditError(message, reason=error.reason, hint=what) from error


def holder(path: Path) -> int | None:
    """Return the process that holds a file's lock; None if the system does not say."""
    try:
        inode = path.stat().st_ino
        locks = _LOCKS.read_text()
    except OSError:
        return None
    return next((int(lock[1]) for lock in _LOCK.finditer(locks) if int(lock[2]) == inode), None)
