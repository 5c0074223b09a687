# SPDX-License-Identifier: Apache-2.0
"""What the coordinator says of a wait that nobody waits any more."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from mmar_runner.errors import DiskFullError
from mmar_runner.server.coordinator import Coordinator
from mmar_runner.server.space import DiskWait


async def test_a_client_that_has_left_waits_for_no_space() -> None:
    """Else the run is said to wait for a disk, and not for the client that is missing."""
    recorded: Future[int] = Future()
    recorded.set_result(1)
    machine: Any = SimpleNamespace(
        handle=lambda *_: [], stalled=False, round=0, waiting_for=lambda: "round 0: nobody"
    )
    journal: Any = SimpleNamespace(append=lambda *_, **__: recorded)
    reporter: Any = SimpleNamespace(waiting=lambda *_, **__: None)
    nobody: Any = None
    disk = DiskWait(lambda _: None)
    coordinator = Coordinator(
        machine,
        nobody,
        journal=journal,
        closer=nobody,
        reporter=reporter,
        last_round={},
        note_refusal=nobody,
        disk=disk,
    )
    coordinator.update_not_stored(DiskFullError("site-2.part: No space left on device"))
    assert disk.waits.startswith("DISK_FULL: site-2.part")
    coordinator.client_left("site-2", "it quit")
    assert disk.waits == ""
    await coordinator.close()
