# SPDX-License-Identifier: Apache-2.0
"""Looks into a run's folder, at the server or at one client (``ShellCommandModule``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Event, Text, Value
from mmar_runner.orders.commands import SHELL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.server_operations import ServerOperations


class ShellCommands(AdminCmdModule):
    """Answers the commands that look into folders; no shell is ever started."""

    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what it answers."""
        return SHELL

    async def execute(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        """Carry one out."""
        if call.targets.server:
            found = await operations.shell((call.spec.name, *call.words))
            yield Text(str(found["text"]).rstrip("\n"))
            yield Value(found)
            return
        gathered = await operations.ask_clients(call)
        for said in gathered.replies.values():
            yield Text(str(said.get("text", "")).rstrip("\n"))
            yield Value(said)
        for missing in gathered.missing:
            yield missing
