# SPDX-License-Identifier: Apache-2.0
"""Entry points as they are declared: in a component's arguments, and in a file of the package."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.words import pointer_text
from mmar_runner.documents.yaml_reader import read_yaml
from mmar_runner.errors import NotAuthorizedError, TaskFailedError
from mmar_runner.interfaces.entry_points import (
    FILE_KEY,
    FILE_SCHEMA,
    MAX_FILE_BYTES,
    EntryPoint,
    entry_points,
)
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext

_VALIDATE: Final = "`mmar-runner validate-mmar` says where"


def require_leave(context: TrainerContext) -> None:
    """Refuse to start anything where commands of the MMAR may not run.

    Raises:
        NotAuthorizedError: BYOC_NOT_ALLOWED.
    """
    if not context.commands:
        message = "the MMAR declares commands, which are code, and code may not run here"
        hint = "--allow-byoc on loopback, or `byoc` of the site's policy, lets them run"
        raise NotAuthorizedError(message, reason="BYOC_NOT_ALLOWED", hint=hint)


def declared_entry_points(
    package: Path, file: str | None, arguments: Mapping[str, Any], takes: Sequence[str]
) -> dict[str, EntryPoint]:
    """Return a component's entry points, by name.

    Args:
        package: The MMAR's folder.
        file: A file in it that holds entry points; None for none.
        arguments: What the component's arguments say of them, by name.
        takes: The names that the component knows.

    Raises:
        TaskFailedError: The file cannot be read, or a command cannot be split.
    """
    in_file = {} if file is None else _in_file(package, file)
    try:
        return entry_points(takes, arguments, in_file)
    except ValueError as error:
        raise TaskFailedError(str(error), hint=_VALIDATE) from error


def required(found: Mapping[str, EntryPoint], name: str) -> EntryPoint:
    """Return the entry point that a component cannot do without.

    Raises:
        TaskFailedError: It has no command.
    """
    if name not in found:
        message = f"the entry point {name} has no command"
        raise TaskFailedError(message, hint=f'declare "{name}": {{"command": [...]}}')
    return found[name]


def _in_file(package: Path, file: str) -> Mapping[str, Any]:
    """Return what a file of the package holds under its key.

    Raises:
        TaskFailedError: It lies outside, cannot be read, or is something else.
    """
    path = package / file
    if not os.path.realpath(path).startswith(f"{os.path.realpath(package)}{os.sep}"):
        raise TaskFailedError(f"{file} leaves the package", hint="name a file in it")
    try:
        data = read_bounded(path, MAX_FILE_BYTES)
        source = read_yaml(data.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise TaskFailedError(f"{file} cannot be read: {error}", hint=_VALIDATE) from error
    problems = [problem.message for problem in source.problems]
    if len(data) > MAX_FILE_BYTES:
        problems = [f"it is longer than {MAX_FILE_BYTES} bytes"]
    problems += [
        f"{pointer_text(fault.path)}: {fault.message}"
        for fault in faults(FILE_SCHEMA, source.value)
    ]
    if problems:
        raise TaskFailedError(f"{file} cannot be used: {problems[0]}", hint=_VALIDATE)
    value: Mapping[str, Any] = source.value[FILE_KEY]
    return value
