# SPDX-License-Identifier: Apache-2.0
"""A process's memory: how much it has taken at most, and what in it stays for good."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

_KIB = 1024
#: Allocations between two young collections: gRPC makes many short-lived objects, and
#: with Python's default a fifth of the samples of a busy server's main thread were in it.
_YOUNG_OBJECTS = 50_000
#: glibc's M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX (malloc.h): by default a
#: megabyte's pages go back to the system with every chunk and are cleared for the next.
_MALLOC_PARAMETERS = {-1: 64 << 20, -3: 16 << 20, -8: 2}


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


def rss_bytes() -> int | None:
    """Return this process's resident set, in bytes; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def give_back_freed() -> None:
    """Give the system back what the allocator keeps of freed memory, wherever it lies."""
    # A refusal's traceback may hold a chunk of a megabyte, and is rarely looked for here.
    gc.collect()
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def settle_memory() -> None:
    """Set memory up for a process that runs for long and moves large chunks.

    To be called once everything is imported: the garbage collector never looks at what
    exists now again, and the allocator keeps freed chunks for the next ones.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc reuse the memory of a chunk for the next, not give it back each time."""
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC_PARAMETERS.items():
            mallopt(parameter, value)


def _libc() -> ctypes.CDLL | None:
    """Return the C library; its functions for memory are glibc's, others may lack them."""
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _own_peak() -> int | None:
    # resource does not exist on Windows, where this room is still imported.
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
