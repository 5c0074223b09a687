# SPDX-License-Identifier: Apache-2.0
"""The cross-site matrix and the task (``ValidationCommandModule``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mmar_runner.errors import OrderError
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Event, Table, Text, Value
from mmar_runner.orders.commands import VALIDATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.interfaces.server_operations import ServerOperations

_T = TypeVar("_T")

_ALL = "all"


class ValidationCommands(AdminCmdModule):
    """Answers the commands about validation."""

    def get_commands(self) -> Sequence[CommandSpec]:
        """Return what it answers."""
        return VALIDATION

    async def execute(
        self, call: CommandCall, operations: ServerOperations
    ) -> AsyncIterator[Event]:
        """Carry one out."""
        if call.spec.name == "taskname":
            name = operations.get_task_name()
            yield Text(name)
            yield Value({"task_name": name})
            return
        chosen = _chosen(operations.get_cross_validation_results(), call.arguments)
        if not chosen:
            yield Text("nothing was validated across sites in this run yet")
        for event in _tables(chosen):
            yield event
        yield Value({"results": {data: dict(owners) for data, owners in chosen.items()}})


def _chosen(
    matrix: Mapping[str, Mapping[str, Mapping[str, float]]], arguments: Mapping[str, str]
) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Return the rows and columns that are asked for.

    Raises:
        OrderError: VALIDATION_UNKNOWN, there is none of that name.
    """
    data, owner = arguments.get("DATA_CLIENT", _ALL), arguments.get("MODEL_OWNER", _ALL)
    rows = dict(matrix) if data == _ALL else {data: _found(matrix, data, "data of")}
    if owner == _ALL:
        return rows
    return {
        client: {owner: _found(owners, owner, f"the data of {client}, a model of")}
        for client, owners in rows.items()
    }


def _found(among: Mapping[str, _T], name: str, what: str) -> _T:
    if name not in among:
        known = ", ".join(sorted(among)) or "none"
        msg = f"nothing was validated on {what} {name!r}"
        raise OrderError(msg, hint=f"known: {known}", reason="VALIDATION_UNKNOWN")
    return among[name]


def _tables(matrix: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[Table]:
    owners = sorted({owner for row in matrix.values() for owner in row})
    metrics = sorted({m for row in matrix.values() for found in row.values() for m in found})
    for metric in metrics:
        rows = [
            [data, *(_cell(row.get(owner, {}).get(metric)) for owner in owners)]
            for data, row in sorted(matrix.items())
        ]
        yield Table(("data of", *owners), rows, f"{metric}: models by owner, on the data of")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
