# SPDX-License-Identifier: Apache-2.0
"""One federation of the simulated world: what it is to do, and what befalls it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.client.settings import SessionSettings
from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.server.settings import ServerSettings
from mmar_runner.server.wording import utc
from mmar_runner.storage.durability import Durability
from tests.simulated_world import substitutes
from tests.simulated_world.administrator import Administrator
from tests.simulated_world.disk import Disk
from tests.simulated_world.hosts import ClientHost, Host, ServerHost
from tests.simulated_world.journal import Records
from tests.simulated_world.mmar import draw_mmar
from tests.simulated_world.network import Network
from tests.simulated_world.process import Deaths
from tests.simulated_world.story import Story
from tests.simulated_world.training import Trainers
from tests.simulated_world.world import EPOCH, World

if TYPE_CHECKING:
    from mmar_runner.mmar.spec import ServerSpec
    from mmar_runner.storage.journal import JournalEvent

#: How long after the last fault a run may take to end, in simulated seconds.
PATIENCE = 400.0
#: How long everybody goes on once the run has ended.
_AFTERMATH = 2.0
#: How often somebody looks at ``status.json``, and how old it may be, in seconds.
_LOOKS = 15.0
#: The last bytes of a state are of values.
_VALUES_BYTES = 64
#: The shares of a server's and a client's actions that are deadly.
_SERVER_SHARE = 1 / 250
_CLIENT_SHARE = 1 / 120
#: Where files cost no disk, if there is such a place.
_MEMORY = Path("/dev/shm")  # noqa: S108 - each world has a folder of its own in it


@cache
def _plugins() -> LoadedPlugins:
    return load_plugins()


class Federation:
    """Runs one seed.

    Args:
        seed: Decides the plan, the weather and every accident.
        aggregator: The rule: FedAvg, or FedAvgM, which keeps a momentum from round to round.
        round_robin: Whether one client works at a time.
        cross_site: Whether models are validated across sites at the end.
        buffered: Whether nobody waits for others.

    Attributes:
        keeps: Whether the rule keeps something from round to round.
        spec: What is to be run.
        trainers: What was trained.
        server: The server's machine.
        clients: The clients' machines.
        administrator: Who decides something now and then.
        silences: When a server that ran did not say what the run waits for.
        round_robin: As it was said; ``cross_site`` likewise.
        spoiled: How often the newest model was damaged while no server ran.
    """

    def __init__(
        self,
        seed: int,
        aggregator: str = "FedAvg",
        *,
        round_robin: bool = False,
        cross_site: bool = False,
        buffered: bool = False,
    ) -> None:
        self.world = World(seed)
        self.keeps = aggregator != "FedAvg"
        self.round_robin, self.cross_site, self.buffered = round_robin, cross_site, buffered
        rng = self.world.rng
        memory = _MEMORY if _MEMORY.is_dir() else None
        self.root = Path(tempfile.mkdtemp(prefix="world-", dir=memory))
        self.network = Network(self.world)
        self.silences: list[str] = []
        self.spoiled = 0
        count = rng.randint(1, 4)
        variant = {"round_robin": round_robin, "cross_site": cross_site, "buffered": buffered}
        self.spec = draw_mmar(rng, self.root / "mmar", count, aggregator, **variant)
        self.inline = rng.random() < 0.5
        full = rng.random() < 0.7
        self.mixed = rng.random() < 0.25
        self.trainers = Trainers(self.world, self._kind_of)
        weather = self.world.weather
        cuts = weather.power_cuts
        server_cuts = cuts if full else 0.0
        settings = ServerSettings(
            spec=self.spec,
            workspace=self.root / "server",
            durability=Durability.FULL if full else Durability.PROCESS,
            token_seconds=rng.choice([20.0, 900.0]),
            keep_models=rng.choice([1, 2, None]),
        )
        self.server = ServerHost(
            settings,
            _plugins(),
            *self._machine("server", Deaths(weather.server_deaths, _SERVER_SHARE, server_cuts)),
        )
        self.clients = [self._client(f"site-{index}", cuts) for index in range(1, count + 1)]
        self.administrator = Administrator(self.world, self.server, self.clients)
        self._plan_accidents()

    @property
    def records(self) -> Records:
        """The journal of the run; empty before there is one."""
        found: Records | None = self.server.disk.journal
        return Records() if found is None else found

    def events(self, kind: str) -> list[JournalEvent]:
        """Return the durable events of one kind."""
        return [event for event in self.records.events if event.kind == kind]

    @property
    def status(self) -> str:
        """How the run ended, by its record; ``running`` if it has not."""
        return self.records.ended or "running"

    @property
    def spec_of_server(self) -> ServerSpec:
        """What the server is to do."""
        assert self.spec.server is not None
        return self.spec.server

    @property
    def run_folder(self) -> Path:
        """The folder of the run."""
        return max(self.root.glob("server/run_*"), key=lambda path: int(path.name[4:]))

    @property
    def story(self) -> Story:
        """What the journal adds up to."""
        return Story.of(self.records.events, self.spec_of_server.min_num_clients)

    def run(self) -> None:
        """Let it run until it has ended."""
        world = self.world
        with substitutes.installed(world, self.network, inline=self.inline):
            try:
                self._run_to_its_end()
            finally:
                world.end()

    def _run_to_its_end(self) -> None:
        world = self.world
        self.server.start()
        self._look()
        for client in self.clients:
            world.later(world.rng.uniform(0, 3), client.start)
        limit = world.weather.faults_end + PATIENCE
        world.run(limit, lambda: self.status != "running")
        world.run(world.now + _AFTERMATH, lambda: False)
        world.run(limit, lambda: self.server.process is None)

    def _look(self) -> None:
        """Read what the server says that it waits for, now and then, as people do."""
        self.world.later(_LOOKS, self._look)
        begun, now = self.server.begun, self.world.now
        quiet = now - max(begun, self.server.disk.full_until)
        if self.server.process is None or quiet < _LOOKS or self.status != "running":
            return
        said = json.loads((self.run_folder / "status.json").read_bytes())
        fresh = said["updated"] >= utc(EPOCH + now - _LOOKS)
        if not fresh or (said["status"] == "running" and not said["waiting_for"]):
            self.silences.append(f"after {now:.0f} s status.json says {said}")

    def close(self) -> None:
        """Delete its files."""
        shutil.rmtree(self.root, ignore_errors=True)

    # What is to be done

    def _machine(self, name: str, deaths: Deaths) -> tuple[Any, ...]:
        folder = self.root / name
        folder.mkdir()
        disk = Disk(self.world, folder, can_lose=deaths.power > 0)
        return self.world, self.network, disk, name, deaths, lambda: self.status != "running"

    def _client(self, name: str, cuts: float) -> ClientHost:
        settings = SessionSettings(
            spec=self.spec, target="simulated:1", name=name, workspace=self.root / name
        )
        deaths = Deaths(self.world.weather.client_deaths, _CLIENT_SHARE, cuts)
        return ClientHost(settings, _plugins(), self.trainers, *self._machine(name, deaths))

    def _kind_of(self, client: str) -> UpdateKind:
        differs = self.mixed and client.endswith(("2", "4"))
        return UpdateKind.WEIGHT_DIFF if differs else UpdateKind.WEIGHTS

    # Accidents

    def _plan_accidents(self) -> None:
        weather = self.world.weather
        self._sometimes(weather.server_crashes, self.server.crash)
        self._sometimes(weather.server_stops, self.server.stop)
        self._sometimes(weather.client_crashes, lambda: self._any_client().crash())
        self._sometimes(weather.client_leaves, lambda: self._any_client().stop())
        self._sometimes(weather.partitions, self._partition)
        self._sometimes(weather.full_disks, self._fill_a_disk)
        self._sometimes(weather.spoiled_models, self._spoil_the_newest_model)
        administrator = self.administrator
        self._sometimes(weather.removals, administrator.remove_somebody)
        self._sometimes(weather.minimums, administrator.change_the_minimum)
        self._sometimes(weather.given_again, administrator.give_a_task_again)

    def _sometimes(self, count: int, accident: Callable[[], None]) -> None:
        for _ in range(count):
            at = self.world.rng.uniform(0, self.world.weather.faults_end * 2 / 3)
            self.world.later(at, accident)

    def _any_client(self) -> ClientHost:
        return self.world.rng.choice(self.clients)

    def _partition(self) -> None:
        seconds = self.world.rng.uniform(0, 30)
        everybody = self.world.chance(0.3)
        for client in self.clients if everybody else [self._any_client()]:
            self.network.cut_off(client.name, seconds)

    def _spoil_the_newest_model(self) -> None:
        """Kill the server and flip a bit of the newest model, if there is one before it.

        Or of what the aggregator keeps beside it.
        """
        self.server.crash()
        spoils_state = self.keeps and self.world.chance(0.5)
        what = "state" if spoils_state else "round"
        models = sorted(self.root.glob("server/run_*/models/round_*.safetensors"))
        kept = sorted(self.root.glob(f"server/run_*/models/{what}_*.safetensors"))
        if len(models) > 1 and kept and self.status == "running":
            newest = kept[-1]
            content = bytearray(newest.read_bytes())
            # Of a state one of its values, by more than rounding hides: a damaged header would be
            # noticed by whoever reads it.
            first = len(content) - _VALUES_BYTES if spoils_state else 0
            content[self.world.rng.randrange(first, len(content))] ^= 1 << 4
            newest.write_bytes(content)
            self.spoiled += 1
            self.world.note("server", f"finds {newest.name} spoiled")

    def _fill_a_disk(self) -> None:
        host: Host = self.server if self.world.chance(0.6) else self._any_client()
        seconds = self.world.rng.uniform(0, 12)
        host.disk.full_until = self.world.now + seconds
        self.world.note(host.name, f"has a full disk for {seconds:.3f} s")
