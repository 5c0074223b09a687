# SPDX-License-Identifier: Apache-2.0
"""What an admin command module must be: a named group of commands and what they do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.admin_event import Event
    from mmar_runner.interfaces.server_operations import ServerOperations


class AdminCmdModule(ABC):
    """Offers commands to administrators.

    Rights are checked before a module hears of a call, at every target; a client checks
    them once more by its own policy.
    """

    @abstractmethod
    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what the module answers, the same whenever asked."""

    @abstractmethod
    def execute(self, call: CommandCall, operations: ServerOperations) -> AsyncIterator[Event]:
        """Carry a command out and yield what is to be shown; the last `Value` is its result.

        Args:
            call: The command; its arguments are of the kinds that its specification says.
            operations: Everything that can be done with the federation.

        Raises:
            MmarRunnerError: It cannot be done; the console shows sentence and mend.
        """
