# SPDX-License-Identifier: Apache-2.0
"""What every admin command module must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

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
        commands = list(module.get_commands())
        assert commands
        assert all(c.split() == [c] for c in commands)
        assert len(set(commands)) == len(commands)
        assert list(module.get_commands()) == commands
