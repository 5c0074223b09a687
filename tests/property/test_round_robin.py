# SPDX-License-Identifier: Apache-2.0
"""Whatever happens: one client has the turn, the model never goes back, and nobody is left out."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmar_runner.federation.actions import (
    Action,
    CloseRound,
    FinishRun,
    Invite,
    OpenRound,
    PassTurn,
)
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    ClientRemoved,
    Event,
    Tick,
    UpdateAccepted,
    UpdateFailed,
    UpdatesWithdrawn,
)
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.round_robin import RoundRobin
from mmar_runner.federation.run_status import RunStatus

_CLIENTS = st.sampled_from(("a", "b", "c", "d"))


class Turns(RuleBasedStateMachine):
    """Feeds arbitrary events, and kills and takes up the machine as a server would."""

    @initialize(
        least=st.integers(1, 3),
        attempts=st.integers(1, 2),
        order=st.none() | st.permutations(("a", "b", "c")),
    )
    def start(self, least: int, attempts: int, order: list[str] | None) -> None:
        self.plan = RunPlan(0, -1, least, 10, task_attempts=attempts)
        self.workflow = RoundRobin(order)
        self.machine = RoundMachine(self.plan, self.workflow)
        self.active: set[str] = set()
        self.round = 0
        self.holder: str | None = None
        self.working: str | None = None
        self.accepted: str | None = None
        self.closed = False
        self.last: str | None = None
        self.failures: dict[str, int] = {}
        self.again: dict[str, int] = {}
        self.end: FinishRun | None = None

    def feed(self, event: Event) -> None:
        for action in self.machine.handle(event, 0.0):
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case OpenRound(number, (client,)):
                assert number == self.round
                assert self.holder in {None, client}, "a resumed turn stays whose it was"
                self.holder = client
                self.working = client if client in self.active else None
            case Invite(_, client, attempt):
                assert client == self.holder, "only whoever has the turn is asked"
                assert attempt == self.attempt(client)
                self.working = client
            case PassTurn(_, client, attempt, before):
                assert before == self.holder != client
                assert client in self.active
                assert self.working is None, "whoever had it does not work any more"
                self.again[before] = self.again.get(before, 0) + 1
                assert attempt == self.attempt(client)
                self.holder = self.working = client
            case CloseRound(_, accepted):
                assert accepted == (self.holder,) == (self.accepted,)
                self.closed = True
            case FinishRun(status, _):
                assert status is RunStatus.FAILED
                assert self.failures
                assert all(self.failures.get(c, 0) for c in self.active)
                self.end = action
            case _:
                raise AssertionError(action)

    def attempt(self, client: str) -> int:
        return 1 + self.failures.get(client, 0) + self.again.get(client, 0)

    @rule(client=_CLIENTS)
    def join(self, client: str) -> None:
        self.active.add(client)
        self.feed(ClientJoined(client))

    @rule(client=_CLIENTS, removed=st.booleans())
    def leave(self, client: str, removed: bool) -> None:
        self.active.discard(client)
        if client == self.working:
            self.working = None
        if not removed:
            self.feed(ClientLeft(client, "lease"))
            return
        if client == self.holder and not self.closed:
            self.again[client] = self.again.get(client, 0) + 1
            self.accepted = None
        self.feed(ClientRemoved(client))

    @precondition(lambda self: self.working is not None and not self.closed and self.end is None)
    @rule()
    def answer(self) -> None:
        self.accepted = self.working
        self.feed(UpdateAccepted(self.working or "", self.round))

    @precondition(lambda self: self.working is not None and not self.closed and self.end is None)
    @rule()
    def fail(self) -> None:
        client, self.working = self.working or "", None
        self.failures[client] = self.failures.get(client, 0) + 1
        self.feed(UpdateFailed(client, self.round, "X"))

    @precondition(lambda self: self.closed)
    @rule(well=st.booleans())
    def aggregate(self, well: bool) -> None:
        self.closed, client = False, self.accepted or ""
        self.accepted = self.working = None
        if not well:
            self.failures[client] = self.failures.get(client, 0) + 1
            self.feed(UpdatesWithdrawn(self.round, {client: "INF"}))
            return
        self.last, self.holder, self.round = client, None, self.round + 1
        self.failures, self.again = {}, {}
        self.feed(Aggregated(self.round - 1))

    @precondition(lambda self: self.end is None and not self.closed)
    @rule()
    def restart(self) -> None:
        self.working = None
        self.machine = RoundMachine(
            self.plan,
            self.workflow,
            first_round=self.round,
            active=tuple(self.active),
            participants=() if self.holder is None else (self.holder,),
            failures=self.failures,
            again=self.again,
            last_turn=self.last,
        )
        self.feed(Tick())

    @invariant()
    def somebody_works_if_anybody_can(self) -> None:
        if not hasattr(self, "machine") or self.end is not None or self.closed:
            return
        if self.holder is not None and self.working is None:
            assert self.machine.stalled, "nobody works, and the machine says so"
        assert set(self.machine.missing()) <= {self.holder}


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
