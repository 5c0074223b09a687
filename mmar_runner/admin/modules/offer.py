# SPDX-License-Identifier: Apache-2.0
"""What can be ordered at a server: its command modules, built in and installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import PluginConflictError
from mmar_runner.orders.commands import TRANSFER, by_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
    from mmar_runner.interfaces.admin_command import CommandSpec


class Offer:
    """Commands by name, and who carries them out.

    Args:
        modules: In the order in which help lists them.

    Raises:
        PluginConflictError: Two modules offer one command.
    """

    def __init__(self, modules: Sequence[AdminCmdModule]) -> None:
        self._modules: dict[str, AdminCmdModule] = {}
        specs = []
        for module in modules:
            for spec in module.get_commands():
                if spec.name in self._modules or spec.name in by_name(TRANSFER):
                    msg = f"two command modules offer {spec.name!r}"
                    hint = "`mmar-runner plugins list` names them; uninstall one"
                    raise PluginConflictError(msg, hint=hint)
                self._modules[spec.name] = module
                specs.append(spec)
        self._specs = by_name((*specs, *TRANSFER))

    @property
    def specs(self) -> Mapping[str, CommandSpec]:
        """What can be ordered."""
        return self._specs

    def module_of(self, command: str) -> AdminCmdModule | None:
        """Return who carries a command out; None for what is a call of its own."""
        return self._modules.get(command)
