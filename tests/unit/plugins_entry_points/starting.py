# SPDX-License-Identifier: Apache-2.0
"""Commands for tests, what components are told, and whether a process is gone."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import Any

from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner.interfaces.entry_points import EntryPoint


def python(source: str, *, seconds: float = 60.0, memory: int | None = None) -> EntryPoint:
    """Return the entry point ``train`` that runs a text of Python."""
    return EntryPoint("train", (sys.executable, "-c", source), seconds, memory)


def no_parts(kind: Any, declaration: Any) -> Any:
    raise AssertionError(f"there are no parts, not even {kind} {declaration}")


def told(package: Path, workspace: Path, **more: Any) -> TrainerContext:
    """Return what a component is told that may start commands."""
    workspace.mkdir(exist_ok=True)
    more = {"commands": True, **more}
    return TrainerContext("site-1", package, workspace, {}, {}, {}, no_parts, **more)


def task(folder: Path, model: Path, **more: Any) -> TrainTask:
    """Return the task of round 3, with its folders."""
    for name in ("state", "new_state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return TrainTask(
        **{"run_number": 1, "round": 3, "num_rounds": 5, "seed": 11, **more},
        model=model,
        update=folder / "update.safetensors",
        state=folder / "state",
        new_state=folder / "new_state",
    )


def ends(pid: int, seconds: float = 20.0) -> bool:
    """Return whether a process ends, or has ended; somebody else may yet have to reap it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
