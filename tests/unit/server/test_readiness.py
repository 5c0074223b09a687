# SPDX-License-Identifier: Apache-2.0
"""A server is ready while its run is open and the disk takes what comes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import DiskFullError
from mmar_runner.server.status.readiness import told_ready
from mmar_runner.server.telling.space import DiskWait
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.health import Health
from mmar_runner.wire.messages import HealthCheckRequest, HealthCheckResponse
from mmar_runner.wire.methods import FEDERATED_TRAINING


@pytest.fixture
def health() -> Health:
    return Health(FEDERATED_TRAINING)


async def is_ready(health: Health) -> bool:
    await asyncio.sleep(0)  # whoever hears of a future's end does so in the loop's next turn
    asked = HealthCheckRequest(service=FEDERATED_TRAINING)
    said = await health.check(asked, Peer("nobody"))
    return bool(said.status == HealthCheckResponse.SERVING)


def running() -> Any:
    return SimpleNamespace(ended=asyncio.get_running_loop().create_future())


async def test_before_a_run_and_after_it_nobody_can_work(health: Health) -> None:
    disk = DiskWait(lambda _: None)
    assert not await is_ready(health)
    with told_ready(health, running(), disk):
        assert await is_ready(health)
    assert not await is_ready(health)


async def test_a_run_that_is_decided_takes_nobody_while_it_is_settled(health: Health) -> None:
    run = running()
    with told_ready(health, run, DiskWait(lambda _: None)):
        run.ended.set_result(("stopped", "it was asked to stop"))
        assert not await is_ready(health)


async def test_a_full_disk_takes_nothing_until_there_is_space(health: Health) -> None:
    disk = DiskWait(lambda _: None)
    with told_ready(health, running(), disk):
        disk.note("journal", DiskFullError("no space left"))
        disk.note("update", DiskFullError("no space left"))
        assert not await is_ready(health)
        disk.note("journal", None)
        assert not await is_ready(health)
        disk.note("update", None)
        assert await is_ready(health)


async def test_a_disk_that_is_full_as_the_run_begins(health: Health) -> None:
    disk = DiskWait(lambda _: None)
    disk.note("journal", DiskFullError("no space left"))
    with told_ready(health, running(), disk):
        assert not await is_ready(health)
