# SPDX-License-Identifier: Apache-2.0
"""Entry points: the commands by which an MMAR brings a framework that the runner does not know.

A component that starts them says so in its description, ``extras["entry_points"]``:
``{"takes": [names], "needs": name}``. Whoever judges an MMAR then finds its commands without
knowing the component, in its arguments and in the file that they name. Commands are code.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: The fact of a description, see above.
FACT: Final = "entry_points"
#: The argument that names a file of the MMAR with entry points.
FILE_ARGUMENT: Final = "entry_points_file"
#: The key of that file under which they stand, and the one of a Python environment.
FILE_KEY: Final = "entry_points"
ENVIRONMENT_KEY: Final = "python_env"
#: The most bytes of such a file.
MAX_FILE_BYTES: Final = 64 * 1024

#: What each of them does, by name.
ENTRY_POINTS: Final[Mapping[str, str]] = {
    "build": "makes the initial model: the command is given OUT",
    "startup": "prepares, once before the first task: the command is given nothing",
    "train": "trains a round: the command is given IN and OUT, and writes OUT-metadata too",
    "validate": "measures a model: the command is given IN and OUT, and writes metrics there",
}

#: How long an entry point may take if nothing is said, in seconds.
DEFAULT_SECONDS: Final = 3600.0

#: One entry point, in arguments and in a file alike.
ENTRY_POINT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "command": {
            "description": "A program and its arguments; a text is split as a shell would, "
            "and no shell is asked.",
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 10_000},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 10_000},
                    "minItems": 1,
                    "maxItems": 1000,
                },
            ],
        },
        "seconds": {
            "description": "How long it may take, in seconds.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 31_536_000,
            "default": DEFAULT_SECONDS,
        },
        "memory_bytes": {
            "description": "Address space that each of its processes may take, in bytes; null "
            "for no limit but the site's.",
            "type": ["integer", "null"],
            "minimum": 1_000_000,
            "default": None,
        },
    },
}

#: A file of entry points, ``fedn.yaml`` for one; what is not named here is left alone.
FILE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": [FILE_KEY],
    "properties": {
        FILE_KEY: {
            "type": "object",
            "properties": dict.fromkeys(ENTRY_POINTS, ENTRY_POINT_SCHEMA),
        },
    },
}


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One entry point.

    Attributes:
        name: A key of `ENTRY_POINTS`.
        command: The program and its arguments, before those that the runner adds.
        seconds: How long it may take.
        memory_bytes: Address space that each of its processes may take; None for no limit but
            that of the process that starts it.
    """

    name: str
    command: tuple[str, ...]
    seconds: float = DEFAULT_SECONDS
    memory_bytes: int | None = None


def split_command(command: str | Sequence[str]) -> tuple[str, ...]:
    """Return a command's words; a text is split as a shell splits it, and nothing is expanded.

    Raises:
        ValueError: A quotation has no end, there is no word, or a word holds a null character.
            The message is a clause that goes on after the command.
    """
    try:
        words = tuple(shlex.split(command) if isinstance(command, str) else command)
    except ValueError as error:
        raise ValueError(f"cannot be split: {error}") from error
    if not words or not words[0]:
        raise ValueError("names no program")
    if any("\0" in word for word in words):
        raise ValueError("holds a null character")
    return words


def entry_points(
    takes: Sequence[str], arguments: Mapping[str, Any], in_file: Mapping[str, Any]
) -> dict[str, EntryPoint]:
    """Return the entry points of a component: its file's, and what its arguments say instead.

    Args:
        takes: The names that the component knows.
        arguments: Its arguments, which fit their schema.
        in_file: What the file holds under `FILE_KEY`, which fits its schema; or empty.

    Raises:
        ValueError: A command cannot be split; the message begins with its entry point.
    """
    found = {}
    for name in takes:
        declared = {**(in_file.get(name) or {}), **(arguments.get(name) or {})}
        if "command" not in declared:
            continue
        try:
            command = split_command(declared["command"])
        except ValueError as error:
            raise ValueError(f"the command of {name} {error}") from error
        found[name] = EntryPoint(
            name,
            command,
            float(declared.get("seconds", DEFAULT_SECONDS)),
            declared.get("memory_bytes"),
        )
    return found
