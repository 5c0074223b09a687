# SPDX-License-Identifier: Apache-2.0
"""``sys_info``: what a machine says of itself is shown, whatever that is."""

from __future__ import annotations

from typing import Any

import pytest

from mmar_runner.admin.modules.system import SystemCommands
from mmar_runner.interfaces.admin_command import CommandCall, Targets
from mmar_runner.interfaces.server_operations import Gathered
from mmar_runner.orders.commands import BUILT_IN

GOOD = {"available_bytes": 1 << 30, "total_bytes": 4 << 30}
HUGE = {"available_bytes": 10**400, "total_bytes": 10**400}
SAID = {
    "good": (GOOD, "1.0 of 4.0 GiB"),
    "huge": (HUGE, "-"),
    "below_nothing": ({"available_bytes": -(10**400), "total_bytes": 5}, "-"),
    "words": ({"available_bytes": "many", "total_bytes": []}, "-"),
    "a_list": ([], "-"),
}


class Asking:
    """A server whose one client says something."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    async def ask_clients(self, _call: CommandCall) -> Gathered:
        return Gathered({"site-1": {"memory": self._memory}})


@pytest.mark.parametrize("case", SAID)
async def test_what_a_site_says_of_its_memory_is_shown(case: str) -> None:
    memory, shown = SAID[case]
    call = CommandCall(BUILT_IN["sys_info"], "ann@a.org", Targets(clients=("site-1",)))
    operations: Any = Asking(memory)
    events = [event async for event in SystemCommands().execute(call, operations)]
    [table] = [event for event in events if event.to_json()["kind"] == "table"]
    [row] = table.to_json()["rows"]
    assert row[3] == shown
