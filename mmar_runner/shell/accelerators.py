# SPDX-License-Identifier: Apache-2.0
"""The accelerators of this machine, as NVIDIA's own program tells them."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mmar_runner.documents.words import printable

#: Where drivers and containers put it. It is looked for nowhere else: not on PATH.
PROGRAMS: Final = (
    Path("/usr/bin/nvidia-smi"),
    Path("/usr/local/nvidia/bin/nvidia-smi"),
    Path("/usr/lib/wsl/lib/nvidia-smi"),
)
SECONDS: Final = 2.0
#: Seconds in which a killed program goes; one that waits for a broken driver does not.
_GOES_SECONDS: Final = 0.5
_MOST: Final = 64
_FIELDS: Final = ("name", "memory.total", "memory.used", "utilization.gpu")
_MIB: Final = 1_048_576
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def accelerators(
    programs: Sequence[Path] = PROGRAMS, *, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """Return what is there; nothing if there is no such program or it does not answer.

    Args:
        programs: Where it may be; the first that is there is asked.
        seconds: How long it may take.
    """
    program = next((path for path in programs if path.is_file()), None)
    if program is None:
        return []
    answer = _asked(program, seconds)
    rows = csv.reader(answer.splitlines(), skipinitialspace=True)
    return [_described(row) for row in islice(rows, _MOST) if len(row) == len(_FIELDS)]


def _asked(program: Path, seconds: float) -> str:
    """Return its answer, or an empty text."""
    query = [f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            [program, *query],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C"},
            encoding="utf-8",
            errors="replace",
        )
    except OSError:
        return ""
    try:
        answer, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GOES_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        return ""
    return answer if process.returncode == 0 else ""


def _described(row: Sequence[str]) -> dict[str, Any]:
    name, total, used, load = row
    return {
        "name": printable(name),
        "memory_total_bytes": _number(total, _MIB),
        "memory_used_bytes": _number(used, _MIB),
        "utilization_percent": _number(load, 1),
    }


def _number(text: str, unit: int) -> int | None:
    """Return a number of units; None for what it does not tell, such as ``[N/A]``."""
    return int(text) * unit if _NUMBER.fullmatch(text) else None
