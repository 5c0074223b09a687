# SPDX-License-Identifier: Apache-2.0
"""Whether clients can join a run and work in it, told to whoever looks after the server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmar_runner.wire.methods import FEDERATED_TRAINING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.server.telling.space import DiskWait
    from mmar_runner.wire.health import Health


@contextmanager
def told_ready(health: Health, coordinator: Coordinator, disk: DiskWait) -> Iterator[None]:
    """Tell for the block whether a run that has begun takes clients and their updates.

    It does until it is decided, by its last round, a failure or a stop, and unless the disk
    is full. What a run waits for otherwise, clients above all, is what it is ready for.

    Args:
        health: Told of every change.
        coordinator: Runs the rounds.
        disk: Knows whether anything waits for space.
    """

    def tell() -> None:
        over = coordinator.ended.done()
        health.set(FEDERATED_TRAINING, serving=not over and not disk.waits)

    disk.on_change(tell)
    coordinator.ended.add_done_callback(lambda _: tell())
    tell()
    try:
        yield
    finally:
        health.set(FEDERATED_TRAINING, serving=False)
