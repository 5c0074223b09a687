# SPDX-License-Identifier: Apache-2.0
"""Command modules of installed plugins: which are offered, and kept from harming the server."""

from __future__ import annotations

import json
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.errors import ComponentFailedError, MmarRunnerError
from mmar_runner.hooks.components import build_component
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_command import CommandSpec
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.interfaces.admin_event import Event
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.interfaces.server_operations import ServerOperations

_log = logging.getLogger(__name__)


def installed_modules(
    catalog: ComponentCatalog, named: Sequence[str] | None
) -> list[AdminCmdModule]:
    """Return the command modules of plugins that are offered, in the order of their names.

    One that cannot be used is left out, and the log says why: the server stands without it.

    Args:
        catalog: What is installed.
        named: The names that the server's own policy gives; None for all that are installed.
    """
    installed = catalog.names(ComponentKind.ADMIN_CMD_MODULE)
    for name in sorted(set(named or ()) - set(installed)):
        _log.warning("admin.modules names %r, which is not installed", name)
    offered = [name for name in installed if named is None or name in named]
    found: list[AdminCmdModule] = []
    for name in offered:
        try:
            found.append(_built(catalog, name))
        except MmarRunnerError as error:
            _log.error("the command module %s is not offered: %s", name, error.message)
    return found


def _built(catalog: ComponentCatalog, name: str) -> InstalledModule:
    kind = ComponentKind.ADMIN_CMD_MODULE
    module = build_component(catalog, kind, {"name": name}, AdminCmdModule)
    try:
        specs = tuple(module.get_commands())
        json.dumps([spec.to_json() for spec in specs], allow_nan=False)
        sound = all(isinstance(spec, CommandSpec) for spec in specs)
    except Exception as error:
        raise _failed(name, "naming its commands", error) from error
    if not sound:
        raise ComponentFailedError(f"the command module {name} names what are no commands")
    return InstalledModule(name, module, specs)


class InstalledModule(AdminCmdModule):
    """A plugin's module: what it raises, or yields, harms nobody but who asked for it.

    Args:
        name: The component's.
        module: The plugin's.
        specs: What it answers.
    """

    def __init__(self, name: str, module: AdminCmdModule, specs: Sequence[CommandSpec]) -> None:
        self.name = name
        self._module = module
        self._specs = specs

    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what it answered when the server began."""
        return self._specs

    async def execute(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        """Carry a command out.

        Raises:
            ComponentFailedError: The module raised, or yielded what is no event; its
                traceback is in the server's log.
        """
        try:
            async with aclosing(self._module.execute(call, operations)) as events:  # type: ignore[type-var]
                async for event in events:
                    _require_event(event.to_json())
                    yield event
        except MmarRunnerError:
            raise
        except Exception as error:
            raise _failed(self.name, call.spec.name, error) from error


def _require_event(value: Mapping[str, Any]) -> None:
    json.dumps(value, allow_nan=False)
    kinds = {key: one for key, one in load_schema("admin_event")["$defs"].items() if key != "end"}
    if found := faults(kinds[value["kind"]], value):
        raise ValueError(found[0].message)


def _failed(name: str, what: str, error: Exception) -> ComponentFailedError:
    _log.error("the command module %s failed at %s", name, what, exc_info=error)
    msg = f"the command module {name} failed at {what}: {type(error).__name__}"
    return ComponentFailedError(msg, hint="the server's log has the traceback")
