# SPDX-License-Identifier: Apache-2.0
"""Whatever happens, in whatever order, the round machine keeps its word."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from mmar_runner.federation.actions import (
    Action,
    CloseRound,
    FinishRun,
    Invite,
    OpenRound,
    SetTimer,
)
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    ClientRemoved,
    Event,
    MinimumChanged,
    StopRequested,
    TaskGivenAgain,
    Tick,
    UpdateAccepted,
    UpdateFailed,
    UpdatesWithdrawn,
)
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.federation.sites import NO_SITES, Sites

_SITES = frozenset({"site-0", "site-1", "site-2", "site-3"})
#: Two of them have a further instance.
_CLIENTS = st.sampled_from(sorted(_SITES | {"site-0_1", "site-1_1"}))


class Rounds(RuleBasedStateMachine):
    """Feeds arbitrary events and keeps a book of its own beside the machine's."""

    @initialize(
        first=st.integers(0, 3),
        rounds=st.integers(0, 3),
        least=st.integers(1, 4),
        sample=st.none() | st.integers(1, 4),
        wait=st.sampled_from([0.0, 10.0]),
        deadline=st.none() | st.just(30.0),
        attempts=st.integers(1, 3),
        seed=st.integers(0, 5),
        sites=st.sampled_from(
            [NO_SITES, Sites(_SITES, _SITES), Sites(_SITES, _SITES - {"site-3"})]
        ),
    )
    def start(
        self,
        first: int,
        rounds: int,
        least: int,
        sample: int | None,
        wait: float,
        deadline: float | None,
        attempts: int,
        seed: int,
        sites: Sites,
    ) -> None:
        self.plan = RunPlan(
            start_round=first,
            num_rounds=first + rounds,
            min_num_clients=least,
            max_num_clients=6,
            wait_after_min_clients=wait,
            clients_per_round=sample,
            round_deadline=deadline,
            seed=seed,
            task_attempts=attempts,
        )
        self.sites = sites
        self.machine = RoundMachine(self.plan, ScatterAndGather(), sites=sites)
        self.now = 0.0
        self.active: set[str] = set()
        self.open: int | None = None
        self.closed: list[int] = []
        self.asked: set[str] = set()
        self.accepted: set[str] = set()
        self.failures: dict[str, int] = {}
        self.again: dict[str, int] = {}
        self.removed: set[str] = set()
        self.least = least
        self.timer: float | None = None
        self.finished: FinishRun | None = None

    def feed(self, event: Event) -> None:
        ended = self.finished is not None
        actions = self.machine.handle(event, self.now)
        if ended:
            assert actions == []
        for action in actions:
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case OpenRound(number, participants):
                assert self.open is None
                assert number == self.plan.start_round + len(self.closed)
                assert number < self.plan.num_rounds
                assert list(participants) == sorted(set(participants))
                assert set(participants) <= self.active
                assert len(self.active) >= self.least
                if self.plan.clients_per_round is not None:
                    assert len(participants) <= self.plan.clients_per_round
                self.open, self.asked = number, set(participants)
                self.quorum = self.needed()
                self.accepted, self.failures, self.again = set(), {}, {}
                self.removed = set()
            case Invite(number, client, attempt):
                assert number == self.open
                assert client in self.active
                assert client not in self.accepted
                failures, again = self.failures.get(client, 0), self.again.get(client, 0)
                assert attempt == failures + again + 1
                self.asked.add(client)
            case CloseRound(number, accepted):
                assert number == self.open
                assert accepted == tuple(sorted(self.accepted))
                assert self.sites.count(accepted) >= self.quorum
                self.open = None
                self.closed.append(number)
            case SetTimer(at):
                assert at >= self.now
                self.timer = at
            case FinishRun(status, reason):
                assert self.finished is None
                if status is RunStatus.FINISHED:
                    assert self.plan.start_round + len(self.closed) >= self.plan.num_rounds
                elif status is RunStatus.FAILED:
                    assert self.failures
                    assert any(client in reason for client in self.failures)
                    hopeless = self.accepted | set(self.sites.absent(self.failures))
                    assert self.sites.count(hopeless) < self.quorum
                self.finished = action

    def needed(self) -> int:
        everybody = self.plan.clients_per_round is None
        return max(1, self.least if everybody else min(self.least, len(self.asked)))

    @rule(client=_CLIENTS)
    def remove(self, client: str) -> None:
        self.active.discard(client)
        if self.open is not None and client in self.asked and client not in self.removed:
            self.accepted.discard(client)
            self.again[client] = self.again.get(client, 0) + 1
            self.removed.add(client)
        self.feed(ClientRemoved(client))
        if self.open is not None and self.finished is None:
            assert client not in self.machine.missing()

    @rule(number=st.integers(1, 5))
    def change_the_minimum(self, number: int) -> None:
        if not self.machine.can_reach(number):
            return
        self.least = number
        if self.asked:
            self.quorum = self.needed()
        self.feed(MinimumChanged(number))
        assert self.machine.minimum == number or self.finished is not None

    @precondition(lambda self: self.open is not None and self.asked & self.active - self.accepted)
    @rule(data=st.data())
    def give_again(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.asked & self.active - self.accepted)))
        self.again[client] = self.again.get(client, 0) + 1
        self.feed(TaskGivenAgain(client))

    @rule(client=_CLIENTS)
    def join(self, client: str) -> None:
        self.active.add(client)
        self.removed.discard(client)
        self.feed(ClientJoined(client))

    @rule(client=_CLIENTS)
    def leave(self, client: str) -> None:
        self.active.discard(client)
        self.feed(ClientLeft(client, "gone"))

    @precondition(lambda self: self.open is not None and self.asked - self.accepted)
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.asked - self.accepted)))
        assert self.open is not None
        self.accepted.add(client)
        self.removed.discard(client)
        self.feed(UpdateAccepted(client, self.open))

    @precondition(lambda self: self.open is not None and self.accepted)
    @rule(data=st.data())
    def accept_again(self, data: st.DataObject) -> None:
        assert self.open is not None
        client = data.draw(st.sampled_from(sorted(self.accepted)))
        self.feed(UpdateAccepted(client, self.open))

    @precondition(lambda self: self.open is not None and self.asked & self.active - self.accepted)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.asked & self.active - self.accepted)))
        assert self.open is not None
        given_up = self.failures.get(client, 0) >= self.plan.task_attempts
        if not given_up:
            self.failures[client] = self.failures.get(client, 0) + 1
            self.feed(UpdateFailed(client, self.open, "X"))

    @rule(client=_CLIENTS, number=st.integers(-1, 7))
    def hear_of_another_round(self, client: str, number: int) -> None:
        if number != self.machine.round:
            self.feed(UpdateAccepted(client, number))
            self.feed(UpdateFailed(client, number, "X"))
            self.feed(Aggregated(number))

    @precondition(lambda self: self.closed and self.open is None and self.accepted)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        choice = st.sets(st.sampled_from(sorted(self.accepted)), min_size=1)
        clients = data.draw(choice)
        if self.machine.round != self.closed[-1] or self.finished is not None:
            return
        self.open = self.closed.pop()
        self.accepted -= clients
        for client in clients:
            self.failures[client] = self.failures.get(client, 0) + 1
        self.feed(UpdatesWithdrawn(self.open, dict.fromkeys(clients, "X")))
        assert self.finished is None or self.finished.status is RunStatus.FAILED

    @precondition(lambda self: self.closed and self.open is None)
    @rule()
    def aggregate(self) -> None:
        self.feed(Aggregated(self.closed[-1]))

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.timer is not None and self.timer <= self.now:
            self.timer = None
            self.feed(Tick())

    @precondition(lambda self: self.finished is None and len(self.closed) > 1)
    @rule()
    def stop(self) -> None:
        self.feed(StopRequested("asked to"))
        assert self.finished == FinishRun(RunStatus.STOPPED, "asked to")

    @invariant()
    def it_has_ended_or_says_what_it_waits_for(self) -> None:
        if hasattr(self, "machine"):
            assert bool(self.machine.waiting_for()) == (self.finished is None)


TestRounds = Rounds.TestCase
TestRounds.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
