# SPDX-License-Identifier: Apache-2.0
"""What this machine has and how it is loaded, as values of JSON."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any, Final

from mmar_runner import __version__
from mmar_runner.documents.words import printable
from mmar_runner.shell.accelerators import accelerators

_PROC: Final = Path("/proc")
_KIB: Final = 1024
#: Bytes that are read of a file of the system's.
_MOST_BYTES: Final = 65_536


def system_info(folder: Path) -> dict[str, Any]:
    """Return what the machine has, as the schema ``system_info`` describes it.

    It blocks, for some 2.5 seconds at most, while it asks for accelerators. Whatever the
    system does not tell is None.

    Args:
        folder: Of the disk that is told of; its path is not.
    """
    return {
        "processor": _processor(),
        "memory": _memory(),
        "disk": _disk(folder),
        "accelerators": accelerators(),
        "python": platform.python_version(),
        "runner": __version__,
    }


def _processor() -> dict[str, Any]:
    return {
        "model": _field("cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "load": _load(),
    }


def _load() -> list[float] | None:
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except OSError:
        return None


def _memory() -> dict[str, int | None]:
    return {
        "total_bytes": _bytes("meminfo", "MemTotal"),
        "available_bytes": _bytes("meminfo", "MemAvailable"),
        "process_bytes": _bytes("self/status", "VmRSS"),
    }


def _disk(folder: Path) -> dict[str, int | None]:
    try:
        found = os.statvfs(folder)
    except OSError:
        return {"total_bytes": None, "free_bytes": None}
    # Free is what this process could use, not what is kept for root.
    return {
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_bytes": found.f_bavail * found.f_frsize,
    }


def _bytes(file: str, name: str) -> int | None:
    value = _field(file, name)
    found = re.fullmatch(r"([0-9]{1,15}) kB", value) if value else None
    return int(found[1]) * _KIB if found else None


def _field(file: str, name: str) -> str | None:
    """Return the first value of a name in one of the system's files."""
    try:
        with (_PROC / file).open(errors="replace") as opened:
            text = opened.read(_MOST_BYTES)
    except OSError:
        return None
    found = re.search(rf"^{re.escape(name)}\s*:[ \t]*(.*)$", text, re.MULTILINE)
    return printable(found[1].strip()) if found else None
