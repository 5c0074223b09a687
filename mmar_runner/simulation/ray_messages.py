# SPDX-License-Identifier: Apache-2.0
"""What is said between a simulation and its workers at a Ray cluster: values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from mmar_runner.errors import (
    ChildDiedError,
    MmarRunnerError,
    TaskError,
    TaskFailedError,
    TaskStalledError,
    TaskTimeoutError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.simulation.parcels import Changes, Parcel

#: What a worker says: ``("step", done, total)`` any number of times, then ``("end", Answer)``.
Said: TypeAlias = "tuple[str, int, int] | tuple[str, Answer]"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one client's trainer.

    Attributes:
        spec: The trainer's specification as JSON; places in it are the worker's to find.
        method: What is asked; ``prepare`` has it built and no more.
        params: The question, without what travels apart.
        timeout: Seconds that it may take, or None.
        model: Names the model's content; empty if it takes none.
        folders: What goes in, by the parameter that names it.
        fetched: Parameters that name a file or a folder that comes back.
        workspace: The client's own folder, if the worker has not got it yet.
    """

    spec: Mapping[str, Any]
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    model: str = ""
    folders: Mapping[str, Parcel] = field(default_factory=dict)
    fetched: Mapping[str, str] = field(default_factory=dict)
    workspace: Parcel | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes of it.

    Attributes:
        result: What the trainer answered, a JSON object.
        error: How it failed, by field of an error; or None.
        files: What comes back, by parameter: a file's bytes, or a folder's parcel.
        workspace: What became of the client's own folder.
        log: What the child has printed since the last answer.
        place: How paths on this worker begin, for whoever reads a sentence with one.
    """

    result: Mapping[str, Any]
    error: Mapping[str, Any] | None
    files: Mapping[str, Any]
    workspace: Changes
    log: bytes
    place: str


def told_error(error: MmarRunnerError) -> dict[str, Any]:
    """Return an error as fields; what it notes beside its message is made of them again."""
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "reason": error.reason,
        "details": error.details if isinstance(error, TaskFailedError) else "",
        "log": error.log if isinstance(error, TaskError) else (),
        "own_words": isinstance(error, TaskError) and error.own_words,
    }


def raised_error(fields: Mapping[str, Any], place: str, log: Path) -> MmarRunnerError:
    """Return the error that a worker told, with the paths of this machine."""
    hint = fields["hint"]
    if hint is not None:
        hint = str(hint).replace(f"{place}/trainers.log", str(log))
    message, reason = str(fields["message"]), str(fields["reason"])
    error: TaskError
    match fields["kind"]:
        case "TaskTimeoutError":
            error = TaskTimeoutError(message, hint=hint, reason=reason)
        case "TaskStalledError":
            error = TaskStalledError(message, hint=hint, reason=reason)
        case "ChildDiedError":
            own = bool(fields["own_words"])
            error = ChildDiedError(message, hint=hint, reason=reason, own_words=own)
        case _:
            details = str(fields["details"])
            error = TaskFailedError(message, hint=hint, reason=reason, details=details)
            if details:
                error.add_note(f"In the child process:\n{details.rstrip()}")
    error.log = tuple(map(str, fields["log"]))
    return error
