# SPDX-License-Identifier: Apache-2.0
"""What machines have and how they are loaded (``SystemCommandModule``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Event, Table, Value
from mmar_runner.orders.commands import SYSTEM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.server_operations import ServerOperations

_GIB = 1 << 30
#: More bytes than this no machine has: a site may say any number.
_MOST_BYTES = 1 << 63
_COLUMNS = ("machine", "processor", "load", "memory free", "disk free", "accelerators")


class SystemCommands(AdminCmdModule):
    """Answers ``sys_info``."""

    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what it answers."""
        return SYSTEM

    async def execute(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        """Carry it out."""
        found: dict[str, Mapping[str, Any]] = {}
        missing: Sequence[Event] = ()
        if call.targets.server:
            found["server"] = await operations.system_info()
        if call.targets.all_clients or call.targets.clients:
            gathered = await operations.ask_clients(call)
            found.update(gathered.replies)
            missing = gathered.missing
        yield Table(_COLUMNS, [[name, *_row(info)] for name, info in found.items()])
        for one in missing:
            yield one
        yield Value({"machines": {name: dict(info) for name, info in found.items()}})


def _row(info: Mapping[str, Any]) -> list[str]:
    """Return one machine's cells; a site may say anything, so nothing is relied on."""
    processor, memory, disk = (_part(info, key) for key in ("processor", "memory", "disk"))
    accelerators = info.get("accelerators")
    names = [str(_part(one).get("name", "?")) for one in _list(accelerators)]
    return [
        f"{processor.get('model') or '?'}, {processor.get('usable_cores')} cores",
        " ".join(str(one) for one in _list(processor.get("load"))) or "-",
        _of(memory.get("available_bytes"), memory.get("total_bytes")),
        _of(disk.get("free_bytes"), disk.get("total_bytes")),
        ", ".join(names) or "none",
    ]


def _part(value: object, key: str | None = None) -> Mapping[str, Any]:
    if key is not None and isinstance(value, dict):
        value = value.get(key)
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value <= _MOST_BYTES


def _of(free: object, total: object) -> str:
    if not _is_size(free) or not _is_size(total):
        return "-"
    return f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB"
