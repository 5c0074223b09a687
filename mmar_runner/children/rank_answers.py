# SPDX-License-Identifier: Apache-2.0
"""What the processes of a trainer answer to one request, and which failure explains the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.children.answers import Step
from mmar_runner.errors import ChildDiedError, TaskError

if TYPE_CHECKING:
    from mmar_runner.children.answers import Reply
    from mmar_runner.interfaces.client_trainer import Progress

#: A rank, or None for the launcher, and why it gives no answer.
Failure: TypeAlias = tuple[int | None, TaskError]

#: How long after a rank's exception another one's end is waited for, which may be its cause.
_CAUSE_SECONDS: Final = 0.5


class RankAnswers:
    """Answers as they come.

    Args:
        processes: How many there are to be.
        told: Hears of rank 0's steps.

    Attributes:
        whole: False once a process that had answered has ended.
    """

    def __init__(self, processes: int, told: Progress) -> None:
        self._processes = processes
        self._told = told
        self._answers: dict[int | None, dict[str, Any]] = {}
        self._failures: list[Failure] = []
        self._until: float | None = None
        self.whole = True

    @property
    def first(self) -> dict[str, Any] | None:
        """Rank 0's answer, once every process has answered."""
        return self._answers[0] if len(self._answers) == self._processes else None

    @property
    def seconds_left(self) -> float | None:
        """How long a failure's cause is still waited for; None without a failure."""
        return None if self._until is None else max(self._until - time.monotonic(), 0)

    @property
    def failure(self) -> Failure | None:
        """What the request fails by, once that is clear: a rank's end goes before exceptions."""
        ends = [one for one in self._failures if isinstance(one[1], ChildDiedError)]
        of_a_rank = [one for one in ends if one[0] is not None]
        if of_a_rank or self.seconds_left == 0:
            return (of_a_rank or ends or self._failures)[0]
        return None

    def take(self, rank: int | None, event: Step | Reply | TaskError) -> None:
        """Take what one process said, or that it has ended."""
        if rank in self._answers:
            self.whole = False
        elif isinstance(event, Step):
            if rank == 0:
                self._told(event.done, event.total)
        elif isinstance(event, TaskError):
            self._fail(rank, event)
        elif event.error is not None:
            self._fail(rank, event.error)
        else:
            self._answers[rank] = event.result

    def _fail(self, rank: int | None, error: TaskError) -> None:
        self._failures.append((rank, error))
        if self._until is None:
            self._until = time.monotonic() + _CAUSE_SECONDS
