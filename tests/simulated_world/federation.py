# SPDX-License-Identifier: Apache-2.0
"""One federation of the simulated world, and what must hold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from mmar_runner.federation.plan import RunPlan
from mmar_runner.server.record import Kind
from tests.simulated_world.client import Client, train
from tests.simulated_world.server import Server, aggregate
from tests.simulated_world.world import Disk, World

if TYPE_CHECKING:
    from mmar_runner.storage.journal import JournalEvent

FAULTS_END = 60.0
PATIENCE = 600.0


class Federation:
    """Runs one seed.

    Args:
        seed: Decides the plan, the weather and every accident.
    """

    def __init__(self, seed: int) -> None:
        self.world = World(seed, FAULTS_END)
        rng = self.world.rng
        count = rng.randint(1, 5)
        sampled = rng.randint(1, count) if rng.random() < 0.4 else None
        self.plan = RunPlan(
            start_round=0,
            num_rounds=rng.randint(1, 5),
            min_num_clients=sampled or rng.randint(1, count),
            max_num_clients=100,
            wait_after_min_clients=rng.choice([0.0, 5.0, 20.0]),
            clients_per_round=sampled,
            round_deadline=rng.choice([None, 30.0]),
            seed=seed,
        )
        self.disk = Disk(self.world)
        self.acknowledged: set[tuple[int, str]] = set()
        self.server: Server | None = Server(self.world, self.disk, self.plan, self.acknowledged)
        self.servers = [self.server]
        names = [f"site-{number}" for number in range(1, count + 1)]
        self.clients = [Client(self.world, name, lambda: self.server) for name in names]
        self._plan_accidents()

    def run(self) -> None:
        """Let it run until it has ended and its record is durable."""
        self.world.run(FAULTS_END + PATIENCE, self._is_over)

    @property
    def status(self) -> str:
        """How the run ended, by its record; "running" if it has not."""
        return next((e.data["status"] for e in self._events(Kind.RUN_ENDED)[-1:]), "running")

    def accepted_sets(self) -> tuple[tuple[str, ...], ...]:
        """Return who counted, round by round."""
        closed = self._events(Kind.ROUND_CLOSED)
        return tuple(tuple(e.data["summary"]["contributions"]) for e in closed)

    def models(self) -> tuple[str, ...]:
        """Return the models' hashes, round by round."""
        return tuple(e.data["summary"]["model_sha256"] for e in self._events(Kind.ROUND_CLOSED))

    # What must hold

    def check(self) -> None:
        """Hold the five invariants against what happened."""
        self._each_update_counts_at_most_once()
        self._rounds_strictly_increase()
        self._what_was_acknowledged_is_durable_and_counts()
        self._it_has_ended_or_says_what_it_waits_for()
        self._equal_accepted_sets_give_equal_models()

    def _each_update_counts_at_most_once(self) -> None:
        accepted = Counter(
            (e.data["round"], e.data["client"]) for e in self._events(Kind.UPDATE_ACCEPTED)
        )
        assert set(accepted.values()) <= {1}, accepted
        for clients in self.accepted_sets():
            assert len(set(clients)) == len(clients), clients

    def _rounds_strictly_increase(self) -> None:
        closed = [e.data["round"] for e in self._events(Kind.ROUND_CLOSED)]
        assert closed == list(range(len(closed))), closed
        opened = [e.data["round"] for e in self._events(Kind.ROUND_OPENED)]
        assert opened == sorted(opened), opened
        for server in self.servers:
            assert len(set(server.opened)) == len(server.opened), server.opened

    def _what_was_acknowledged_is_durable_and_counts(self) -> None:
        durable = {(e.data["round"], e.data["client"]) for e in self._events(Kind.UPDATE_ACCEPTED)}
        assert self.acknowledged <= durable, self.acknowledged - durable
        for number, clients in enumerate(self.accepted_sets()):
            recorded = {client for accepted, client in durable if accepted == number}
            assert recorded == set(clients), (number, recorded, clients)

    def _it_has_ended_or_says_what_it_waits_for(self) -> None:
        waiting = self.server.machine.waiting_for() if self.server else "no server"
        assert self.status in {"finished", "failed"}, waiting
        if self.status == "failed":
            assert self.world.weather.task_failures > 0
            assert "site-" in self._events(Kind.RUN_ENDED)[-1].data["reason"]
        else:
            assert len(self.models()) == self.plan.num_rounds

    def _equal_accepted_sets_give_equal_models(self) -> None:
        model = "initial"
        for number, (clients, recorded) in enumerate(
            zip(self.accepted_sets(), self.models(), strict=True)
        ):
            model = aggregate(model, {name: train(name, number, model) for name in clients})
            assert model == recorded, number

    # Accidents

    def _plan_accidents(self) -> None:
        world, weather = self.world, self.world.weather

        def at_some_time(call: Callable[[], None]) -> None:
            world.later(world.rng.uniform(0, FAULTS_END), call)

        for _ in range(weather.server_crashes):
            at_some_time(self._crash_server)
        for _ in range(weather.server_stops):
            at_some_time(self._stop_server)
        for _ in range(weather.client_crashes):
            at_some_time(lambda: world.rng.choice(self.clients).crash())
        for _ in range(weather.partitions):
            at_some_time(self._cut_off)

    def _cut_off(self) -> None:
        name = self.world.rng.choice(self.clients).name
        self.world.cut_off[name] = self.world.now + self.world.rng.uniform(0, 30)

    def _stop_server(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.world.later(1.0, self._crash_server)

    def _crash_server(self) -> None:
        if self.server is None:
            return
        self.server.alive = False
        self.server = None
        self.disk.crash()
        self.world.later(self.world.rng.uniform(0, 15), self._start_server)

    def _start_server(self) -> None:
        if self.server is None and self.status not in {"finished", "failed"}:
            self.server = Server(self.world, self.disk, self.plan, self.acknowledged)
            self.servers.append(self.server)

    def _is_over(self) -> bool:
        return self.status in {"finished", "failed"}

    def _events(self, kind: Kind) -> list[JournalEvent]:
        return [event for event in self.disk.journal if event.kind == kind]
