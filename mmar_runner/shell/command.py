# SPDX-License-Identifier: Apache-2.0
"""A command, from its words to its output: who owns the machine says which are allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.errors import NotAuthorizedError, UsageError
from mmar_runner.shell.arguments import Syntax, parsed, require_words
from mmar_runner.shell.environment import ENV, env
from mmar_runner.shell.listing import LS, ls
from mmar_runner.shell.output import Page, ShellOutput
from mmar_runner.shell.paths import Root
from mmar_runner.shell.reading import CAT, HEAD, TAIL, cat, head, tail
from mmar_runner.shell.searching import GREP, grep

_Command: TypeAlias = Callable[[Sequence[str], Root], ShellOutput]

PWD: Final = Syntax("pwd", "pwd")


def pwd(words: Sequence[str], root: Root) -> ShellOutput:
    """Show the name of the folder that everything happens in, without those above it.

    Raises:
        UsageError: It was called wrongly.
    """
    parsed(PWD, words)
    page = Page()
    page.write(f"{root.path.name}\n")
    return page.finished()


_COMMANDS: Final[dict[str, tuple[Syntax, _Command]]] = {
    syntax.name: (syntax, command)
    for syntax, command in (
        (PWD, pwd),
        (LS, ls),
        (CAT, cat),
        (HEAD, head),
        (TAIL, tail),
        (GREP, grep),
        (ENV, env),
    )
}
#: How every command is called, by its name.
USAGES: Final = {name: syntax.usage for name, (syntax, _) in _COMMANDS.items()}


def shell_command(words: Sequence[str], root: Path, allowed: Collection[str]) -> ShellOutput:
    """Carry out a command. It blocks while it reads files.

    Args:
        words: The command's name and its arguments, already told apart.
        root: The folder that it sees, and nothing beside it.
        allowed: Names of the commands that the owner of the machine allows; none if empty.

    Returns:
        What it shows.

    Raises:
        NotAuthorizedError: ``SHELL_REFUSED``: it is not allowed here. ``PATH``: the file or
            folder may not be looked at.
        UsageError: There is no such command or file, or it was called wrongly.
        StorageError: A file cannot be read.
    """
    require_words(words)
    name = words[0]
    if allowed and name not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        hint = did_you_mean(name, _COMMANDS) or f"there are: {known}"
        raise UsageError(f"there is no command '{printable(name)}'", hint=hint)
    if name not in frozenset(allowed) & _COMMANDS.keys():
        raise NotAuthorizedError(
            f"the shell command '{printable(name)}' is not allowed here",
            reason="SHELL_REFUSED",
            hint="who owns this machine adds it to admin.allowed_shell_cmds of site_policy.json",
        )
    _, command = _COMMANDS[name]
    return command(words[1:], Root(root))
