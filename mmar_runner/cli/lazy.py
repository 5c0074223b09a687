# SPDX-License-Identifier: Apache-2.0
"""A click group that imports a command's module only when the command is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.cli.groups import Group

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives, and what the list of commands says of it.

    Attributes:
        module: The module that exposes it as ``command``.
        summary: One line for ``--help``, so that listing imports no command.
    """

    module: str
    summary: str


class LazyGroup(Group):
    """A group whose commands are named here and imported when they are called.

    Args:
        lazy: Command name to where it lives.
        settings: What `click.Group` takes.
    """

    def __init__(self, *, lazy: Mapping[str, LazyCommand], **settings: Any) -> None:
        super().__init__(**settings)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it
        """Return the names of all commands, in the order in which they were declared."""
        return list(self._lazy)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click calls it
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command's module and return the command."""
        entry = self._lazy.get(cmd_name)
        if entry is None:
            return None
        command = importlib.import_module(entry.module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.module}.command is not a click command")
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click calls it
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without importing any of them."""
        rows = [(name, entry.summary) for name, entry in self._lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
