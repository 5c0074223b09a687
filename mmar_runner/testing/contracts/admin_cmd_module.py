# SPDX-License-Identifier: Apache-2.0
"""What every admin command module must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from mmar_runner.testing.contracts.laws import hold, same

if TYPE_CHECKING:
    from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule


class AdminCmdModuleContract(ABC):
    """A command module names its commands."""

    @abstractmethod
    def make(self) -> AdminCmdModule:
        """Return a new command module."""

    def test_commands(self) -> None:
        """At least one, each a word, none twice, and the same whenever asked."""
        module = self.make()
        commands = [spec.name for spec in module.get_commands()]
        law = "A command module names its commands"
        hold(law, commands, expected="at least one", got=commands)
        words = all(c.split() == [c] for c in commands)
        hold(law, words, expected="one word each", got=commands)
        hold(law, len(set(commands)) == len(commands), expected="none twice", got=commands)
        same(
            "A command module names the same commands whenever asked",
            commands,
            [spec.name for spec in module.get_commands()],
        )
