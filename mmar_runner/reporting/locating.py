# SPDX-License-Identifier: Apache-2.0
"""Which run is meant by the folder that somebody names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.errors import ReportError
from mmar_runner.server.records.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

#: Files of which a server leaves at least one in a run's folder.
_LEFT: Final = ("journal.db", "events.jsonl", "summary.json")
#: What lies only in folders of a client.
_OF_CLIENTS: Final = ("session.key", "run_id")


def find_run(folder: Path) -> Path:
    """Return the folder of a server's run.

    Args:
        folder: A run's folder, or a server's workspace: then its last run is meant.

    Raises:
        ReportError: NOT_A_RUN.
    """
    try:
        return _found(folder)
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror or error}"
        raise _no_run(msg, "let this user read it") from error


def _found(folder: Path) -> Path:
    if not folder.is_dir():
        missing = "is no folder" if folder.exists() else "is not there"
        hint = "name the folder of a run, such as WORKSPACE/run_1"
        if _is_run(folder.absolute().parent):
            hint = f"mmar-runner report {folder.absolute().parent}"
        raise _no_run(f"{folder} {missing}", hint)
    if _is_run(folder):
        return folder
    last = None if _is_clients(folder) else Workspace(folder).last_run()
    if last is not None and _is_run(last.path):
        return last.path
    if _is_clients(folder) or any(map(_is_clients, folder.iterdir())):
        msg = f"{folder} is a client's: what a run did is known at its server"
        raise _no_run(msg, "name the server's folder, WORKSPACE/run_<N>")
    if last is None:
        hint = "name the folder of a run, such as WORKSPACE/run_1, or a server's --workspace"
        raise _no_run(f"{folder} is no folder of a run, and none lies in it", hint)
    msg = f"{last.path} holds neither a journal nor a summary: nothing is on record there"
    raise _no_run(msg, "a run leaves them as soon as it begins, in its server's workspace")


def _is_clients(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _OF_CLIENTS)


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _LEFT)


def _no_run(message: str, hint: str) -> ReportError:
    return ReportError(message, hint=hint)
