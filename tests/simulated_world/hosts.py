# SPDX-License-Identifier: Apache-2.0
"""Who starts the production server and sessions, and starts them again when they have ended."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmar_runner.client.session import run_session
from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.run import run_server
from mmar_runner.server.settings import ServerSettings
from tests.simulated_world.administrator import start_anew
from tests.simulated_world.process import Deaths, Process

if TYPE_CHECKING:
    from mmar_runner.client.tasks.training import TrainerHosts
    from mmar_runner.hooks import LoadedPlugins
    from tests.simulated_world.disk import Disk
    from tests.simulated_world.network import Network
    from tests.simulated_world.world import World

#: Statuses after which nobody starts a process again.
_OVER = frozenset({"finished", "failed"})
#: How long it takes until one that ended is started again, at most, in seconds.
_PAUSE = 8.0


@dataclass
class Watcher:
    """Remembers what a process observed."""

    world: World
    name: str
    seen: list[tuple[float, Observation]] = field(default_factory=list)

    def observe(self, observation: Observation) -> None:
        """Remember one observation."""
        self.seen.append((self.world.now, observation))
        self.world.note(self.name, f"{observation.topic} {dict(observation.data)}")

    def all(self, topic: Topic) -> list[Observation]:
        """Return what was observed about a topic."""
        return [seen for _, seen in self.seen if seen.topic is topic]


class Host(ABC):
    """One machine with one program, which is started again until it is over.

    Attributes:
        watcher: What all its processes observed.
        process: The one that runs, or None.
        begun: When the last one was started.
        status: How the last that ended by itself ended; empty before.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        disk: Disk,
        name: str,
        deaths: Deaths,
        is_over: Callable[[], bool],
    ) -> None:
        self.world, self.network, self.disk, self.name = world, network, disk, name
        self._is_over = is_over
        self.deaths = deaths
        self.watcher = Watcher(world, name)
        self.process: Process | None = None
        self.status = ""
        self.begun = 0.0
        self.last_error: BaseException | None = None
        self._stop: asyncio.Event | None = None

    def start(self) -> None:
        """Start the program, unless it runs or is over."""
        if self.process is None and self.status not in _OVER and not self._is_over():
            self._stop = asyncio.Event()
            self.begun = self.world.now
            self.process = Process(
                self.world, self.name, self.disk, self.deaths, self.main, self._ended
            )
            process = self.process
            process.at_death.append(lambda: self.network.died(process))

    def crash(self) -> None:
        """Kill it, if it runs."""
        if self.process is not None:
            self.process.die("at some time")

    def stop(self) -> None:
        """Ask it to stop, if it runs."""
        if self.process is not None and self._stop is not None:
            self.world.note(self.name, "is asked to stop")
            self._stop.set()

    @abstractmethod
    def main(self) -> Coroutine[Any, Any, Any]:
        """Return what a process runs."""

    @property
    def stop_event(self) -> asyncio.Event:
        """Set when the process is to stop."""
        assert self._stop is not None
        return self._stop

    def _ended(self, process: Process) -> None:
        self.process = None
        if process.error is not None:
            self.last_error = process.error
            if not isinstance(process.error, MmarRunnerError):
                self.world.defects.append(f"{self.name} ended with {process.error!r}")
        elif process.result is not None:
            self.status = process.result.status
        self.world.later(self.world.rng.uniform(0.05, _PAUSE), self.start)


class ServerHost(Host):
    """The server's machine."""

    def __init__(self, settings: ServerSettings, plugins: LoadedPlugins, *args: Any) -> None:
        super().__init__(*args)
        self.settings, self.plugins = settings, plugins

    def main(self) -> Coroutine[Any, Any, Any]:
        """Return the production server."""
        return run_server(self.settings, self.plugins, self.watcher, self.stop_event)


class ClientHost(Host):
    """A client's machine."""

    def __init__(
        self, settings: SessionSettings, plugins: LoadedPlugins, trainers: TrainerHosts, *args: Any
    ) -> None:
        super().__init__(*args)
        self.settings, self.plugins, self.trainers = settings, plugins, trainers

    def main(self) -> Coroutine[Any, Any, Any]:
        """Return the production session."""
        return run_session(
            self.settings, self.plugins, self.watcher, self.stop_event, children=self.trainers
        )

    def _ended(self, process: Process) -> None:
        super()._ended(process)
        start_anew(self, process)
