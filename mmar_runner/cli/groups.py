# SPDX-License-Identifier: Apache-2.0
"""A click group that says which command was meant, and each command's whole first sentence."""

from __future__ import annotations

import click

#: Letters of a command's first sentence in the list of commands: more than any has.
_WHOLE = 1000


class Group(click.Group):
    """What every group of commands is here."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the called command.

        Raises:
            click.UsageError: There is none of that name; it says which one is near.
        """
        name = args[0]
        if name[:1].isalnum() and self.get_command(ctx, name) is None:
            # Deferred: only slips need it.
            from mmar_runner.documents.words import did_you_mean  # noqa: PLC0415

            near = did_you_mean(name, self.list_commands(ctx))
            said = [f"No such command '{name}'.", *([near] if near else [])]
            raise click.UsageError(" ".join(said), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; a sentence is folded, never cut off."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(limit=_WHOLE)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
