# SPDX-License-Identifier: Apache-2.0
"""What a standing server has to remember beside its runs: ``federation.json``.

Written whole and to the disk, before anything that it says is carried out: whoever starts the
server again goes on where it was.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import OrderError, StorageError
from mmar_runner.storage.atomic import translated, write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "federation.json"
_LIMIT: Final = 16 << 20
#: From so many bytes on nothing is added: what is remembered must be readable again.
_FULL: Final = _LIMIT // 2


@dataclass(slots=True)
class RunEntry:
    """One run number.

    Attributes:
        number: It.
        owner: Who chose it: an e-mail address.
        org: The owner's organisation.
        mmar: The MMAR that is deployed at the server; empty if none is.
        digest: Its digest, hex.
        started: Whether it is to go on when the server is started again.
        clients: What became of the deployment at each client: empty, or a reason.
        order: Of a run that was queued: what was signed, for clients; base64.
        targets: For which clients that is; empty for all that come.
    """

    number: int
    owner: str
    org: str
    mmar: str = ""
    digest: str = ""
    started: bool = False
    clients: dict[str, str] = field(default_factory=dict)
    order: str = ""
    targets: list[str] = field(default_factory=list)


@dataclass(slots=True)
class QueuedRun:
    """One run that waits.

    Attributes:
        mmar: The uploaded MMAR.
        digest: Its digest when it was queued.
        user: Who queued it.
        org: The user's organisation.
        clients: For whom; empty for all that are there then.
        order: What the user signed, for the clients; base64 in the file.
        queued: When, UTC, ISO 8601.
        run_number: What it got when its turn came; 0 before.
    """

    mmar: str
    digest: str
    user: str
    org: str
    clients: list[str]
    order: str
    queued: str
    run_number: int = 0


@dataclass(slots=True)
class FailedRun:
    """One run that waited and could not begin when its turn came.

    Attributes:
        mmar: The uploaded MMAR.
        user: Who queued it.
        org: The user's organisation.
        queued: When, UTC, ISO 8601.
        failed: When its turn came, likewise.
        reason: Why, as an id.
        message: Why, as a sentence.
    """

    mmar: str
    user: str
    org: str
    queued: str
    failed: str
    reason: str
    message: str


@dataclass(slots=True)
class FederationState:
    """Everything that is remembered.

    Attributes:
        run_number: The run that is set, or None.
        runs: Every run number that was chosen and not deleted.
        queue: Runs that wait, in order.
        timeout: Seconds that clients may take to answer.
        paused: Whether the queue waits until somebody says that it goes on.
        failed: The last runs that waited and could not begin.
    """

    run_number: int | None = None
    runs: dict[int, RunEntry] = field(default_factory=dict)
    queue: list[QueuedRun] = field(default_factory=list)
    timeout: float = 10.0
    paused: bool = False
    failed: list[FailedRun] = field(default_factory=list)

    @property
    def current(self) -> RunEntry | None:
        """The run that is set, or None."""
        return None if self.run_number is None else self.runs.get(self.run_number)


class StateFile:
    """Reads and writes the state. Blocks; the file is small.

    Args:
        workspace: The server's.

    Attributes:
        state: What is remembered; change it, then `save`.

    Raises:
        StorageError: It cannot be read, or is damaged.
    """

    def __init__(self, workspace: Path) -> None:
        self._path = workspace / FILE
        self._writing = threading.Lock()
        self.state = self._read()

    def save(self) -> None:
        """Write what is remembered to the disk; it is there when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        with self._writing:  # several threads may save: what is newer is written later
            write_json_atomic(self._path, self._value(), durable=True)

    def require_room(self) -> None:
        """Refuse to remember more runs than another process could read.

        Raises:
            OrderError: QUEUE_FULL.
            StorageError: It cannot be looked at.
        """
        with translated(self._path):
            size = self._path.stat().st_size if self._path.exists() else 0
        if size >= _FULL:
            msg = f"the server remembers {size} bytes of runs and orders already"
            hint = "take runs out of the queue, or delete some that are over: delete_run_number N"
            raise OrderError(msg, hint=hint, reason="QUEUE_FULL")

    def _value(self) -> dict[str, Any]:
        state = self.state
        return {
            "version": 1,
            "run_number": state.run_number,
            "runs": [_as_json(entry) for _, entry in sorted(state.runs.items())],
            "queue": [_as_json(entry) for entry in list(state.queue)],
            "timeout": state.timeout,
            "paused": state.paused,
            "failed": [_as_json(entry) for entry in list(state.failed)],
        }

    def _read(self) -> FederationState:
        with translated(self._path):
            if not self._path.exists():
                return FederationState()
            data = self._path.read_bytes()
        try:
            value: dict[str, Any] = parse_checked(data, "federation", limit=_LIMIT)
        except ValueError as error:
            hint = "restore it from a copy; or remove it: runs and what was uploaded stay"
            raise StorageError(f"{self._path} {error}", hint=hint) from error
        return FederationState(
            value["run_number"],
            {entry["number"]: RunEntry(**entry) for entry in value["runs"]},
            [QueuedRun(**entry) for entry in value["queue"]],
            value["timeout"],
            value.get("paused", False),
            [FailedRun(**entry) for entry in value.get("failed", ())],
        )


def _as_json(entry: RunEntry | QueuedRun | FailedRun) -> dict[str, Any]:
    # Copies of its own, each made in one step: the event loop may change them meanwhile.
    value = {one.name: getattr(entry, one.name) for one in fields(entry)}
    return {
        key: type(one)(one) if isinstance(one, list | dict) else one for key, one in value.items()
    }
