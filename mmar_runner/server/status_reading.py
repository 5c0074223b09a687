# SPDX-License-Identifier: Apache-2.0
"""Reads, from outside, what the last run of a workspace is at, and whether a server has it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import StorageError, UsageError
from mmar_runner.server.workspace import Workspace
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.server.workspace import RunFolder

#: Bytes of a status or summary that are read at most.
_LIMIT: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """What is known of a workspace.

    Attributes:
        workspace: The folder.
        listen: Where its server listens; None if no server is running.
        pid: The server's process; None likewise.
        run: What ``status.json`` of the last run says.
    """

    workspace: Path
    listen: str | None
    pid: int | None
    run: Mapping[str, Any]

    @property
    def resumable(self) -> bool:
        """Whether the run is unfinished, and nobody works on it."""
        return self.pid is None and self.run["status"] in {"running", "stopped"}


def read_status(workspace: Path) -> WorkspaceStatus:
    """Return what the last run of a workspace is at.

    Raises:
        UsageError: There is no run in that folder.
        StorageError: A file of it cannot be read.
    """
    run = Workspace(workspace).last_run() if workspace.is_dir() else None
    if run is None:
        msg = f"{workspace} is no server's workspace: there is no run in it"
        raise UsageError(msg, hint="name the folder that run-server was given with --workspace")
    endpoint = _read(workspace / "endpoint.json") or {}
    pid, listen = endpoint.get("pid"), endpoint.get("listen")
    alive = isinstance(pid, int) and pid > 0 and isinstance(listen, str) and _serves(pid)
    return WorkspaceStatus(
        workspace, listen if alive else None, pid if alive else None, _status(run)
    )


def _status(run: RunFolder) -> Mapping[str, Any]:
    """Return a run's status, or what its summary says, if an older program left no status."""
    if (status := _read(run.status)) is not None:
        return status
    summary = _read(run.summary) or {}
    rounds = summary.get("rounds") or [{}]
    return {
        "status": summary.get("status", "running"),
        "reason": summary.get("reason") or "",
        "run_number": run.number,
        "num_rounds": None,
        "round": rounds[-1].get("round", -1) + 1,
        "waiting_for": "",
        "since": None,
        "clients": [],
        "missing": [],
        "pid": None,
        "updated": None,
    }


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(read_bounded(path, _LIMIT))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise StorageError(msg) from error
    if not isinstance(value, dict):
        msg = f"{path} cannot be read: it is no JSON object"
        raise StorageError(msg)
    return value


def _serves(pid: int) -> bool:
    """Return True if a process is there, and is one of this program where that can be seen."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
    return b"mmar_runner" in command or b"mmar-runner" in command
