# SPDX-License-Identifier: Apache-2.0
"""Reads, from outside, what the last run of a workspace is at, and whether a server has it."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import DiskFullError, JournalError, StorageError, UsageError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.records.workspace import Workspace
from mmar_runner.server.status.facts import written_facts
from mmar_runner.server.status.results import read_results
from mmar_runner.server.status.round_of import round_of
from mmar_runner.server.status.status import REFRESH_SECONDS
from mmar_runner.server.status.status_on_record import read_recorded
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.status.facts import WrittenFacts
    from mmar_runner.server.status.results import RunResults
    from mmar_runner.server.status.status_on_record import RecordedFacts

#: Bytes of a status or summary that are read at most.
_LIMIT: Final = 256 << 20
#: After how long a server that writes nothing is said to be silent, in seconds: three
#: refreshes, and one for times that are cut to the second.
_SILENT_SECONDS: Final = 3 * REFRESH_SECONDS + 1
_HINT: Final = "a server that is started, or goes on, writes a new one"


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """What is known of a workspace.

    Attributes:
        workspace: The folder.
        listen: Where its server listens; None if no server is running.
        pid: The server's process; None likewise.
        run: What ``status.json`` of the last run says; of a run that no server has, how it
            stands and at which round is what its journal says, and it waits for nobody.
        silent_seconds: For how long a server that is there has written nothing, if that is
            longer than it should be; else None.
        note: A sentence if something could not be read, and something else is shown; or empty.
        results: What the run left, if it has ended, no server has it, and its summary says it.
        holder: The process that holds the workspace and does not listen, if there is one: it
            begins, or ends, or is a combiner that waits for a model from above.
    """

    workspace: Path
    listen: str | None
    pid: int | None
    run: WrittenFacts
    silent_seconds: float | None = None
    note: str = ""
    results: RunResults | None = None
    holder: int | None = None

    @property
    def resumable(self) -> bool:
        """Whether the run is unfinished, and nobody works on it."""
        return self.pid is None and self.holder is None and self.run["status"].resumable


def read_status(workspace: Path) -> WorkspaceStatus:
    """Return what the last run of a workspace is at.

    Raises:
        UsageError: There is no run in that folder.
        StorageError: A file of it cannot be read, and there is nothing in its place.
    """
    run = Workspace(workspace).last_run() if workspace.is_dir() else None
    if run is None:
        raise _no_workspace(workspace)
    endpoint = _read(workspace / "endpoint.json") or {}
    pid, listen = endpoint.get("pid"), endpoint.get("listen")
    if isinstance(pid, int) and pid > 0 and isinstance(listen, str) and _serves(pid):
        facts, note = _written(run)
        silent = _silent_seconds(facts, workspace / "endpoint.json")
        return WorkspaceStatus(workspace, listen, pid, facts, silent, note)
    facts, note = _left_behind(run)
    results = None if facts["status"].resumable else read_results(run)
    holder = Workspace(workspace).holder()
    return WorkspaceStatus(workspace, None, None, facts, note=note, results=results, holder=holder)


def _no_workspace(folder: Path) -> UsageError:
    msg = f"{folder} is no server's workspace: there is no run in it"
    hint = "name the folder that run-server, or run-combiner, was given with --workspace"
    absolute = folder.absolute()
    if (absolute / "journal.db").exists():
        msg = f"{folder} is a run's folder, not the workspace that it lies in"
        hint = f"mmar-runner status {absolute.parent}"
    elif (absolute / "session.key").exists() or any(absolute.glob("*/session.key")):
        msg = (
            f"{folder} is a client's workspace, or that of a combiner which its parent has not let "
            "in yet: what a run is at is known at its server"
        )
    return UsageError(msg, hint=hint)


def _written(run: RunFolder) -> tuple[WrittenFacts, str]:
    """Return what the server of a run has written, and a note if that cannot be read."""
    try:
        return _status(run), ""
    except StorageError as error:
        facts: WrittenFacts = {**_blank(run), **_recorded(run, error)}
        return facts, f"{error.message}; what is shown is from the journal"


def _left_behind(run: RunFolder) -> tuple[WrittenFacts, str]:
    """Return how a run stands that no server has, and a note if the journal cannot say it."""
    try:
        facts, note = _written(run)
        return {**_alone(facts), **read_recorded(run.journal)}, note
    except (JournalError, DiskFullError) as error:
        note = f"{error.message}; what is shown is what was written last, and may be behind"
        return _alone(_status(run)), note if run.journal.exists() else ""


def _alone(facts: WrittenFacts) -> WrittenFacts:
    """Return the facts of a run that no server has: it waits for nobody, and nobody is there."""
    return {**facts, "waiting_for": "", "since": None, "clients": [], "missing": []}


def _recorded(run: RunFolder, cause: StorageError) -> RecordedFacts:
    """Return what the journal says in place of a status that cannot be read."""
    try:
        return read_recorded(run.journal)
    except (JournalError, DiskFullError) as error:
        hint = "start the server again, with the same command: it writes a new one"
        raise StorageError(f"{cause.message}; {error.message}", hint=hint) from error


def _status(run: RunFolder) -> WrittenFacts:
    """Return a run's status, or what its summary says, if an older program left no status."""
    if (status := _read(run.status)) is None:
        return _summarized(run)
    try:
        return written_facts(status)
    except ValueError as error:
        raise StorageError(f"{run.status} cannot be read: {error}", hint=_HINT) from error


def _summarized(run: RunFolder) -> WrittenFacts:
    summary = _read(run.summary) or {}
    try:
        status = RunStatus(summary.get("status", RunStatus.RUNNING))
        last = (summary.get("rounds") or [{}])[-1].get("round", -1)
        told = {"status": status, "reason": summary.get("reason") or ""}
        return written_facts({**_blank(run), **told, "round": round_of(status, last + 1)})
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StorageError(f"{run.summary} cannot be read: {error}", hint=_HINT) from error


def _blank(run: RunFolder) -> WrittenFacts:
    return {
        "status": RunStatus.RUNNING,
        "reason": "",
        "run_number": run.number,
        "num_rounds": None,
        "round": 0,
        "waiting_for": "",
        "since": None,
        "clients": [],
        "missing": [],
        "pid": None,
        "updated": None,
    }


def _silent_seconds(facts: WrittenFacts, endpoint: Path) -> float | None:
    """Return for how long a server has written nothing, if that is too long.

    One that has just come up has the file of the one before it: its own time counts.
    """
    try:
        written = datetime.fromisoformat(facts["updated"] or "").timestamp()
    except (TypeError, ValueError):
        written = 0.0
    with suppress(OSError):
        written = max(written, endpoint.stat().st_mtime)
    silent = time.time() - written
    return round(silent, 1) if silent > _SILENT_SECONDS else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(read_bounded(path, _LIMIT))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read: {error}"
        raise StorageError(msg, hint=_HINT) from error
    if not isinstance(value, dict):
        msg = f"{path} cannot be read: it is no JSON object"
        raise StorageError(msg, hint=_HINT)
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
