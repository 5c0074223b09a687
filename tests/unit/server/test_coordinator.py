# SPDX-License-Identifier: Apache-2.0
"""Small decisions of the coordinator that are its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

from mmar_runner.errors import DiskFullError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.records.run_record import RunRecord
from mmar_runner.server.records.run_state import RunState
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.coordinator import Coordinator
from mmar_runner.server.rounds.minimum import MinimumBounds
from mmar_runner.server.telling.space import DiskWait


def _coordinator(disk: DiskWait) -> Coordinator:
    recorded: Future[int] = Future()
    recorded.set_result(1)
    machine: Any = SimpleNamespace(
        handle=lambda *_: [], stalled=False, round=0, waiting_for=lambda: "round 0: nobody"
    )
    journal: Any = SimpleNamespace(append=lambda *_, **__: recorded)
    record = RunRecord(journal, RunState())
    reporter: Any = SimpleNamespace(waiting=lambda *_, **__: None, close=lambda: None)
    nobody: Any = None
    exchange = SimpleNamespace(look=lambda: None, close=AsyncMock())
    closer: Any = SimpleNamespace(exchange=exchange, waiting="")
    return Coordinator(
        machine,
        nobody,
        assignments=Assignments(),
        record=record,
        updates=nobody,
        closer=closer,
        reporter=reporter,
        note_refusal=nobody,
        disk=disk,
        spool=nobody,
        bounds=MinimumBounds(),
    )


async def test_a_client_that_has_left_waits_for_no_space() -> None:
    """Else the run is said to wait for a disk, and not for the client that is missing."""
    disk = DiskWait(lambda _: None)
    coordinator = _coordinator(disk)
    coordinator.answers.lack_space(DiskFullError("site-2.part: No space left on device"))
    assert disk.waits.startswith("DISK_FULL: site-2.part")
    coordinator.client_left("site-2", "it quit")
    assert disk.waits == ""
    await coordinator.close()


async def test_a_stop_leaves_a_finished_run_the_time_to_settle_its_files() -> None:
    """What was cancelled was the best model's name, and the run's end was on record without it."""
    coordinator = _coordinator(DiskWait(lambda _: None))
    closer: Any = SimpleNamespace(give_up=lambda: None, exchange=coordinator._closer.exchange)
    coordinator._closer = closer
    settled = asyncio.Event()

    async def settle() -> None:
        await asyncio.sleep(0)
        settled.set()

    coordinator._workbench.spawn(settle())
    coordinator._finish(RunStatus.FINISHED, "")
    coordinator.give_up()
    await coordinator.close()
    assert settled.is_set()
