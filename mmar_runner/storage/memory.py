# SPDX-License-Identifier: Apache-2.0
"""A process's memory: how much it has taken at most, and what in it stays for good."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

_KIB = 1024
#: Allocations between two young collections: gRPC makes many short-lived objects, and
#: with Python's default a fifth of a busy server's time went into looking at them.
_YOUNG_OBJECTS = 50_000


def peak_rss_bytes(pid: int | None = None) -> int | None:
    """Return the largest resident set of a process so far.

    Args:
        pid: The process; None for this one.

    Returns:
        Bytes, or None if the system does not tell (another process, not on Linux).
    """
    status = Path("/proc") / ("self" if pid is None else str(pid)) / "status"
    try:
        text = status.read_text()
    except OSError:
        return _own_peak() if pid is None else None
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    return None  # a kernel thread, or a process that has ended but was not reaped


def settle_memory() -> None:
    """Tell the garbage collector that what exists now stays for the process's life.

    To be called once everything is imported by a process that runs for long: modules
    and classes are then never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)


def _own_peak() -> int | None:
    # resource does not exist on Windows, where this room is still imported.
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
