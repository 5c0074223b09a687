# SPDX-License-Identifier: Apache-2.0
"""How long clients may take: what they fetch a package for takes longer than a word."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.admin.operations import FETCH_SECONDS, Operations
from mmar_runner.admin.runs.federation_state import RunEntry
from mmar_runner.interfaces.admin_command import CommandCall, Targets
from mmar_runner.interfaces.admin_event import Missing
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

    state = SimpleNamespace(run_number=1, runs={}, timeout=timeout, current=None)
    desk: Any = SimpleNamespace(state=state)
    hub: Any = SimpleNamespace(ask=ask, listeners=[])
    nothing: Any = None
    operations = Operations(
        desk, hub, nothing, transfers=nothing, workspace=nothing, leaving=nothing
    )
    call = CommandCall(BUILT_IN[command], "ann@a.org", Targets(clients=("site-1",)))
    await operations.ask_clients(call)
    assert asked == [given]


async def test_whoever_did_not_take_the_mmar_is_remembered() -> None:
    async def ask(*_: Any) -> Gathered:
        return Gathered({"site-1": {}}, [Missing("site-2", "BYOC_NOT_ALLOWED", "no code here")])

    entry = RunEntry(1, "ann@a.org", "a.org")
    state = SimpleNamespace(run_number=1, runs={}, timeout=1.0, current=entry)
    saved: list[bool] = []
    desk: Any = SimpleNamespace(state=state, save=lambda: saved.append(True))
    hub: Any = SimpleNamespace(ask=ask, listeners=[])
    nothing: Any = None
    operations = Operations(
        desk, hub, nothing, transfers=nothing, workspace=nothing, leaving=nothing
    )
    call = CommandCall(BUILT_IN["deploy"], "ann@a.org", Targets(clients=("site-1", "site-2")))
    await operations.ask_clients(call)
    assert entry.clients == {"site-1": "", "site-2": "BYOC_NOT_ALLOWED"}
    assert saved
