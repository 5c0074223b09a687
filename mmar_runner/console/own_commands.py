# SPDX-License-Identifier: Apache-2.0
"""What the console does itself, and what older names of commands mean today."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.admin_command import CommandSpec, Parameter, Right
from mmar_runner.orders.commands import by_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Commands that no server hears of.
OWN: Final = by_name(
    (
        CommandSpec(
            "help",
            "List what there is, or say everything about one command.",
            right=Right.NOBODY,
            parameters=(Parameter("COMMAND", optional=True),),
            examples=("help", "help deploy", "? deploy"),
        ),
        CommandSpec(
            "info",
            "Say what is known of the server, of this session, and the versions.",
            right=Right.NOBODY,
        ),
        CommandSpec(
            "lpwd",
            "Say in which folder of this machine the console is.",
            right=Right.NOBODY,
        ),
        CommandSpec(
            "bye",
            "Leave the console; whatever was ordered goes on.",
            right=Right.NOBODY,
            examples=("bye", "exit", "quit"),
        ),
    )
)

#: Commands that move files, as they are typed: what else the server is told, the console adds.
TYPED: Final = by_name(
    (
        CommandSpec(
            "upload",
            "Hand a signed MMAR of this machine to the server.",
            right=Right.UPLOAD,
            parameters=(Parameter("FOLDER", summary="a folder of this machine"),),
            examples=("upload mmars/study",),
        ),
        CommandSpec(
            "download",
            "Fetch a file of a run from the server, or a folder as an archive.",
            right=Right.TRAIN,
            parameters=(
                Parameter("PATH", summary="below the workspace, such as run_1/summary.json"),
                Parameter("FOLDER", optional=True, summary="that gets it; without it this one"),
            ),
            examples=(
                "download run_1/models/final.safetensors",
                "download run_1/models results",
            ),
        ),
    )
)

#: Names of the older systems' console, and other words for the same.
ALIASES: Final = MappingProxyType(
    {
        "?": "help",
        "exit": "bye",
        "quit": "bye",
        "upload_folder": "upload",
        "download_folder": "download",
        "download_text": "download",
        "download_binary": "download",
    }
)
#: Of these it is said what they are now; the others mean the same as ever.
RENAMED: Final = frozenset({"upload_folder", "download_folder", "download_text", "download_binary"})
#: What nobody does any more, and why.
NOT_NEEDED: Final = MappingProxyType(
    dict.fromkeys(
        ("login", "_cert_login", "_login"),
        "no login is needed: the start-up kit's certificate opened the session",
    )
    | dict.fromkeys(("logout", "_logout"), "`bye` leaves the console and ends the session")
)


def today(words: Sequence[str], specs: Mapping[str, CommandSpec]) -> tuple[str, ...]:
    """Return words with the command's present name: an alias's, or with ``_`` for ``-``.

    Args:
        words: What was typed.
        specs: What there is, by name.
    """
    name, *rest = words
    if name not in specs:
        name = ALIASES.get(name, name)
        under = name.replace("-", "_")
        name = under if under in specs or under in ALIASES else name
        name = ALIASES.get(name, name)
    return (name, *rest)
