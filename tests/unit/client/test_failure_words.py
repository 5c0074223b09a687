# SPDX-License-Identifier: Apache-2.0
"""What a server is told of a failure, by the site's level of redaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmar_runner.client.tasks.failure_words import failure_words
from mmar_runner.errors import (
    ChildDiedError,
    DiskFullError,
    MmarRunnerError,
    RefusedError,
    StorageError,
    TaskFailedError,
    TaskTimeoutError,
)
from mmar_runner.security.redaction import Redaction

NOWHERE = Path("/nowhere")
SECRET = "patient 4711 is 'Hans'"
STAYS = "a component of the task failed; what it said stays at the site"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TaskFailedError(SECRET), ("TASK_FAILED", STAYS)),
        (TaskFailedError(SECRET, reason="HANS_4711"), ("TASK_FAILED", STAYS)),
        (TaskFailedError(SECRET, reason="COMPONENT_BUILD"), ("COMPONENT_BUILD", STAYS)),
        (ChildDiedError(SECRET), ("CHILD_DIED", STAYS)),
        (ChildDiedError("ended by SIGKILL", own_words=True), ("CHILD_DIED", "ended by SIGKILL")),
        (TaskTimeoutError("after 5 seconds"), ("TASK_TIMEOUT", "after 5 seconds")),
        (
            TaskFailedError(SECRET, reason="DISK_FULL"),
            ("DISK_FULL", "no space is left on a disk of the site"),
        ),
        (DiskFullError("/data/hans"), ("DISK_FULL", "no space is left on a disk of the site")),
        (
            StorageError("/data/hans"),
            ("STORAGE", "a file of the task cannot be written or read at the site"),
        ),
        (RefusedError("no", reason="DIGEST"), ("DIGEST", "the connection did not allow it")),
    ],
    ids=lambda value: getattr(value, "reason", ""),
)
def test_of_everything_that_is_hidden_only_the_runners_own_words_are_left(
    error: MmarRunnerError, told: tuple[str, str]
) -> None:
    if isinstance(error, TaskFailedError):
        error.log = (SECRET,)
    failure = failure_words(error, Redaction.EVERYTHING, NOWHERE)
    assert (failure.reason, failure.message) == told
    assert not failure.log


def test_of_values_that_are_hidden_the_words_are_left() -> None:
    error = TaskFailedError(f"{SECRET}\nand more", reason="HANS_4711")
    error.log = (SECRET, "then")
    failure = failure_words(error, Redaction.VALUES, NOWHERE)
    assert failure.reason == "TASK_FAILED"
    assert failure.message == "patient <...> is <...> and more"
    assert list(failure.log) == ["patient <...> is <...>", "then"]


def test_where_nothing_is_hidden_everything_is_told() -> None:
    error = TaskFailedError(SECRET, reason="HANS_4711")
    error.log = (SECRET,)
    failure = failure_words(error, Redaction.NOTHING, NOWHERE)
    assert (failure.reason, failure.message, list(failure.log)) == ("HANS_4711", SECRET, [SECRET])
