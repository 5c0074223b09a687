# SPDX-License-Identifier: Apache-2.0
"""How a run stands: one word, the same in files, on the wire, in JSON output and for handlers."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

from mmar_runner.errors import RunFailedError, RunStoppedError


class RunStatus(StrEnum):
    """How a run stands. A member is its word: it equals, and is written as, that string."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def resumable(self) -> bool:
        """Whether there is something left to do: the same command goes on with the run."""
        return self in {RunStatus.RUNNING, RunStatus.STOPPED}

    @property
    def exit_code(self) -> int:
        """With which code a command ends whose run is left like this."""
        if self.resumable:
            return RunStoppedError.exit_code
        return 0 if self is RunStatus.FINISHED else RunFailedError.exit_code


#: How a run, or a process's part in it, may end.
RunEndStatus: TypeAlias = Literal[RunStatus.FINISHED, RunStatus.FAILED, RunStatus.STOPPED]


def run_end(word: str) -> RunEndStatus:
    """Return the end of a run that a word from outside says.

    Raises:
        ValueError: It says none.
    """
    status = RunStatus(word)
    if status is RunStatus.RUNNING:
        msg = f"{word!r} is no end of a run"
        raise ValueError(msg)
    return status
