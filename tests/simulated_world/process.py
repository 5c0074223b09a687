# SPDX-License-Identifier: Apache-2.0
"""A process of the simulated world: an event loop that the world lets run, and its death."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulated_world.loop import ProcessLoop

if TYPE_CHECKING:
    from mmar_runner.server.parts import RunParts
    from tests.simulated_world.disk import Disk
    from tests.simulated_world.world import World

#: How often a coroutine that still waits while it ends is ended again.
_CLOSINGS = 10
_close = os.close


@dataclass
class Deaths:
    """Of what a process, and those that follow it, may die.

    Attributes:
        left: How often.
        share: The share of actions that are deadly.
        power: The share of deaths that take the machine along.
    """

    left: int = 0
    share: float = 0.0
    power: float = 0.0


class Process:
    """One process.

    Args:
        world: Where it lives.
        name: Whose process it is.
        disk: The disk of its machine.
        deaths: Of what it may die.
        main: What it runs.
        ended: Told once it is no more, whatever it ended of.

    Attributes:
        alive: False as soon as it is dead, even if its last step is not over.
        power_cut: Whether its machine went with it.
        result: What its main function returned; None if it did not.
        error: What that raised.
        at_death: Called when it is no more.
        descriptors: The files that it has open.
        parts: Of the run that it serves, once they are made.
    """

    def __init__(
        self,
        world: World,
        name: str,
        disk: Disk,
        deaths: Deaths,
        main: Callable[[], Coroutine[Any, Any, Any]],
        ended: Callable[[Process], None],
    ) -> None:
        self.world, self.name, self.disk, self.deaths, self.ended = world, name, disk, deaths, ended
        self.alive = True
        self.power_cut = False
        self.cause = ""
        self.result: Any = None
        self.error: BaseException | None = None
        self.at_death: list[Callable[[], None]] = []
        self.descriptors: set[int] = set()
        self.parts: RunParts | None = None
        self.loop = ProcessLoop(self)
        world.processes.append(self)
        world.note(name, "starts")
        self.loop.create_task(main()).add_done_callback(self._main_ended)

    def die(self, cause: str, *, power_cut: bool | None = None) -> None:
        """Be killed, here and now; whatever it does from now on has no effect."""
        if not self.alive:
            return
        self.alive = False
        if power_cut is None:
            power_cut = self.world.chance(self.deaths.power)
        self.power_cut = power_cut
        self.cause = f"{'power cut' if power_cut else 'killed'} {cause}"
        if self.world.current is not self:
            self.bury()

    def step(self) -> None:
        """Run what is due now."""
        self.world.current = self
        try:
            self.loop.step()
        finally:
            self.world.current = None
        if not self.alive:
            self.bury()

    def bury(self) -> None:
        """Take it out of the world, once none of its steps is under way."""
        self.alive = False
        self.world.note(self.name, self.cause or "ends")
        self.world.processes.remove(self)
        for call in self.at_death:
            call()
        self.world.current = self  # dead: what its coroutines still do raises
        try:
            self.loop.be_running(self._close_tasks)
        finally:
            self.world.current = None
        self.loop.close()
        for descriptor in self.descriptors:
            _close(descriptor)
        self.descriptors.clear()
        if self.power_cut:
            self.disk.lose_power()
        self.ended(self)

    def _close_tasks(self) -> None:
        while self.loop.unfinished:
            task, _ = self.loop.unfinished.popitem()
            task._log_destroy_pending = False
            coroutine = task.get_coro()
            for _ in range(_CLOSINGS):
                try:
                    coroutine.close()
                except BaseException:  # noqa: BLE001, S112 - it is dead, and nobody hears it
                    continue
                break

    def _main_ended(self, task: asyncio.Task[Any]) -> None:
        if not self.alive:
            return
        self.alive = False
        self.error = task.exception()
        self.result = None if self.error else task.result()
        self.cause = f"exits: {self.error!r}" if self.error else f"exits: {self.result!r}"
