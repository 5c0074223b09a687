# SPDX-License-Identifier: Apache-2.0
"""What a server is told of a task that failed: as much as the site's redaction lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.errors import (
    DiskFullError,
    StorageError,
    TaskError,
    TaskFailedError,
    default_reasons,
)
from mmar_runner.security.hidden_values import without_values
from mmar_runner.security.redaction import Redaction, bounded
from mmar_runner.wire.messages import TaskFailure

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.errors import MmarRunnerError

#: What is said in place of a component's own words, or of a file's path.
_COMPONENT: Final = "a component of the task failed; what it said stays at the site"
_STORAGE: Final = "a file of the task cannot be written or read at the site"
_NO_SPACE: Final = "no space is left on a disk of the site"
_LINE: Final = "the connection did not allow it"


def failure_words(error: MmarRunnerError, redaction: Redaction, root: Path) -> TaskFailure:
    """Return reason, message and lines of the log, as they may leave the site.

    Args:
        error: Why the task failed.
        redaction: What the site hides.
        root: The MMAR's folder: places in its files may be named.
    """
    log = error.log if isinstance(error, TaskError) else ()
    match redaction:
        case Redaction.NOTHING:
            return TaskFailure(reason=error.reason, message=error.message, log=bounded(log))
        case Redaction.VALUES:
            message = " ".join(without_values(error.message.splitlines(), root))
            lines = bounded(without_values(log, root))
            return TaskFailure(reason=_reason(error), message=message, log=lines)
        case Redaction.EVERYTHING:
            return TaskFailure(reason=_reason(error), message=_own_sentence(error))


def _reason(error: MmarRunnerError) -> str:
    """Return an id that the runner knows: user code in a child may have made up another."""
    made_up = isinstance(error, TaskFailedError) and error.reason not in default_reasons()
    return TaskFailedError.default_reason if made_up else error.reason


def _own_sentence(error: MmarRunnerError) -> str:
    if isinstance(error, TaskError) and error.own_words:
        return error.message
    if error.reason == DiskFullError.default_reason:
        return _NO_SPACE
    if isinstance(error, TaskError):
        return _COMPONENT
    return _STORAGE if isinstance(error, StorageError) else _LINE
