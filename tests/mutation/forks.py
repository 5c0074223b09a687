# SPDX-License-Identifier: Apache-2.0
"""Runs a piece of work in a forked process, with limits, and says how it ended."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal["killed", "survived", "timeout", "unchanged", "broken"]

#: What the process says by its exit status.
SURVIVED, KILLED, UNCHANGED, BROKEN = 0, 1, 3, 4
_ENDINGS: dict[int, Ending] = {SURVIVED: "survived", KILLED: "killed", UNCHANGED: "unchanged"}


def ending_of(work: Callable[[], int], *, cpu: int, wall: float) -> Ending:
    """Do something in a process of its own and return how it ended.

    Args:
        work: Returns one of the numbers above.
        cpu: The most seconds of computing that it may need: a busy machine does not count.
        wall: The most seconds that it may take, for one that waits for ever.
    """
    child = os.fork()
    if child == 0:
        _be_the_child(work, cpu)
    handle = os.pidfd_open(child)
    try:
        in_time = bool(select.select([handle], [], [], wall)[0])
    finally:
        os.close(handle)
        # The group is its own: whatever its tests have started goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not in_time or os.WIFSIGNALED(status):
        return "timeout" if not in_time or os.WTERMSIG(status) == signal.SIGXCPU else "killed"
    return _ENDINGS.get(os.WEXITSTATUS(status), "broken")


def _be_the_child(work: Callable[[], int], cpu: int) -> None:
    os.setsid()
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + cpu, used + cpu + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = BROKEN
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = work()
    except BaseException:  # noqa: BLE001 the process ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(status)
