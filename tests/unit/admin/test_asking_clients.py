# SPDX-License-Identifier: Apache-2.0
"""How long clients may take: what they fetch a package for takes longer than a word."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.admin.operations import FETCH_SECONDS, Operations
from mmar_runner.interfaces.admin_command import CommandCall, Targets
from mmar_runner.interfaces.server_operations import Gathered
from mmar_runner.orders.commands import BUILT_IN


@pytest.mark.parametrize(
    ("command", "timeout", "given"),
    [
        ("deploy", 10.0, FETCH_SECONDS),
        ("enqueue", 10.0, FETCH_SECONDS),
        ("deploy", 300.0, 300.0),
        ("start", 10.0, 10.0),
        ("check_status", 2.0, 2.0),
    ],
)
async def test_clients_are_given_time(command: str, timeout: float, given: float) -> None:
    asked: list[float] = []

    async def ask(_names: Any, _order: bytes, _facts: Any, seconds: float) -> Gathered:
        asked.append(seconds)
        return Gathered()

    desk: Any = SimpleNamespace(state=SimpleNamespace(run_number=1, runs={}, timeout=timeout))
    hub: Any = SimpleNamespace(ask=ask, listeners=[])
    nothing: Any = None
    operations = Operations(
        desk, hub, nothing, transfers=nothing, workspace=nothing, leaving=nothing
    )
    call = CommandCall(BUILT_IN[command], "ann@a.org", Targets(clients=("site-1",)))
    await operations.ask_clients(call)
    assert asked == [given]
