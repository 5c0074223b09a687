# SPDX-License-Identifier: Apache-2.0
"""A server in the simulated world: the production machine, plan, workflow and replay.

What stands here is only what carries the machine's actions out, as the production
coordinator does: it records each decision in the step in which it is taken, and tells
a client only what is durable.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmar_runner.federation import actions, events
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.server.record import AcceptedUpdate, Kind, RunState, replay

if TYPE_CHECKING:
    from mmar_runner.federation.plan import RunPlan
    from tests.simulated_world.world import Disk, World

LEASE = 8.0
Reply = Callable[[str, Any], None]


def aggregate(model: str, updates: dict[str, str]) -> str:
    """Return the model that follows from a model and updates by client, as a hash."""
    text = model + "".join(f"|{client}={updates[client]}" for client in sorted(updates))
    return hashlib.sha256(text.encode()).hexdigest()


class Server:
    """One server process, from its start to its death.

    Args:
        world: Where it lives.
        disk: What processes before it left.
        plan: Of the run.
        acknowledged: Everything that any process told a client was accepted.
    """

    def __init__(
        self, world: World, disk: Disk, plan: RunPlan, acknowledged: set[tuple[int, str]]
    ) -> None:
        self.world, self.disk, self.acknowledged = world, disk, acknowledged
        self.alive = True
        self.over = False  # ended, on record
        self.ended: tuple[str, str] | None = None
        self.opened: list[int] = []
        if not disk.journal:
            facts = {"digest": "d", "seed": plan.seed, "round": 0, "model_sha256": "initial"}
            disk.models[0] = "initial"
            self._record(Kind.RUN_STARTED, facts)
            state = RunState(model_sha256="initial")
        else:
            state = replay(disk.journal)
            self._record(Kind.RUN_RESUMED, {"round": state.round})
        self.model = state.model_sha256
        assert disk.models[state.round] == self.model, "the journal names a model that is not there"
        self.leases = dict.fromkeys(state.clients, world.now + LEASE)
        self.last_round = dict(state.last_round)
        self.durable: set[tuple[int, str]] = {(n, c) for c, n in state.last_round.items()}
        self.accepted: dict[str, AcceptedUpdate] = {c: u for c, (u, _) in state.accepted.items()}
        self.round, self.closing = -1, True
        self.invited: dict[str, int] = {}
        self.unrecorded: set[tuple[str, tuple[int, int]]] = set()  # failures
        self.waiting: dict[str, tuple[tuple[int, int], Reply]] = {}
        self.machine = RoundMachine(
            plan,
            ScatterAndGather(),
            first_round=state.round,
            accepted=state.accepted.keys(),
            active=state.clients.keys(),
            participants=state.participants,
            failures=Counter(entry["client"] for entry in state.rejected),
        )
        self._handle(events.Tick())
        self._sweep()

    # What clients call

    def register(self, client: str, reply: Reply) -> None:
        """Let a client in; the same one again is welcome."""
        joined = client not in self.leases
        self.leases[client] = self.world.now + LEASE
        facts = {"client": client, "key_sha256": "", "token_sha256": "", "mmar_digest": ""}
        self._record(Kind.CLIENT_REGISTERED, facts)
        if joined:
            self._handle(events.ClientJoined(client))
        reply("registered", None)

    def heartbeat(self, client: str, reply: Reply) -> None:
        """Renew a lease."""
        reply("known" if self._renew(client) else "unknown", None)

    def get_model(self, client: str, after: tuple[int, int], reply: Reply) -> None:
        """Answer as soon as there is a task after that round and attempt."""
        if not self._renew(client):
            reply("unknown", None)
            return
        self.waiting[client] = (after, reply)
        self._serve()

    def fail(self, client: str, task: tuple[int, int], reply: Reply) -> None:
        """Hear that a client's task, a round and an attempt, failed."""
        if not self._renew(client):
            reply("unknown", None)
        elif task[0] != self.round or self.closing:
            reply("mismatch", self.round)
        elif task[1] == self.invited.get(client):
            del self.invited[client]
            self.unrecorded.add((client, task))
            facts = {"client": client, "round": task[0], "reason": "X", "message": "m"}
            self._record(Kind.TASK_FAILED, facts, lambda: self._noted(client, task, reply))
            self._handle(events.UpdateFailed(client, task[0], "X"))
        elif (client, task) not in self.unrecorded:
            reply("noted", None)

    def _noted(self, client: str, task: tuple[int, int], reply: Reply) -> None:
        # As with an acceptance, a client is told only what will not be forgotten.
        self.unrecorded.discard((client, task))
        reply("noted", None)

    def submit(self, client: str, number: int, base: str, digest: str, reply: Reply) -> None:
        """Take an update; its bytes take a while to arrive."""
        if not self._renew(client):
            reply("unknown", None)
        elif not self._refused(client, number, base, reply):
            seconds = self.world.rng.uniform(0, 0.3)
            self.world.later(seconds, lambda: self._received(client, number, base, digest, reply))

    def _received(self, client: str, number: int, base: str, digest: str, reply: Reply) -> None:
        if not self.alive or self._refused(client, number, base, reply):
            return
        self.disk.updates[number, client] = digest
        update = AcceptedUpdate(client, number, digest, 1, 1.0, "weights", {}, {}, 0.0, 0.0, False)
        self.accepted[client] = update
        self.invited.pop(client, None)
        self.last_round[client] = number
        self._record(
            Kind.UPDATE_ACCEPTED, update.to_json(), lambda: self._receipt(client, number, reply)
        )
        self._handle(events.UpdateAccepted(client, number))

    def _refused(self, client: str, number: int, base: str, reply: Reply) -> bool:
        if self.last_round.get(client) == number:
            if (number, client) in self.durable:
                self._receipt(client, number, reply)
            return True  # else: its record is on its way, and the client asks again
        if number != self.round or self.closing or client not in self.invited or base != self.model:
            reply("mismatch", self.round)
            return True
        return False

    def _receipt(self, client: str, number: int, reply: Reply) -> None:
        self.durable.add((number, client))
        self.acknowledged.add((number, client))
        reply("receipt", number)

    # What the machine says

    def stop(self) -> None:
        """Stop, resumably."""
        self._handle(events.StopRequested("asked to"))

    def _handle(self, event: events.Event) -> None:
        if not self.alive or self.ended:
            return
        for action in self.machine.handle(event, self.world.now):
            self._carry_out(action)
        assert self.ended or self.machine.waiting_for(), "it neither ends nor says why not"

    def _carry_out(self, action: actions.Action) -> None:
        match action:
            case actions.OpenRound(number, participants):
                self._open(number, participants)
            case actions.Invite(number, client, attempt):
                assert number == self.round
                if client not in self.accepted:
                    self.invited[client] = attempt
            case actions.CloseRound(number, accepted):
                assert number == self.round
                assert accepted == tuple(sorted(self.accepted))
                self.closing = True
                self.world.later(self.world.rng.uniform(0, 0.5), self._close)
            case actions.SetTimer(at):
                self.world.later(max(0, at - self.world.now), lambda: self._handle(events.Tick()))
            case actions.FinishRun(status, reason):
                self.ended = (status, reason)
                facts = {"status": status, "reason": reason, "wall_seconds": 0.0}
                self._record(Kind.RUN_ENDED, facts, self._told)
        self._serve()

    def _told(self) -> None:
        self.over = True
        self._serve()

    def _open(self, number: int, participants: tuple[str, ...]) -> None:
        self.opened.append(number)
        if self.round >= 0:  # a process's first round may have been open before it
            self.accepted = {}
        self.round, self.closing = number, False
        self.invited = {c: 1 for c in participants if c not in self.accepted}
        facts = {"round": number, "participants": list(participants), "model_sha256": self.model}
        self._record(Kind.ROUND_OPENED, facts)

    def _close(self) -> None:
        if not self.alive or self.ended:
            return
        number = self.round
        updates = {client: self.disk.updates[number, client] for client in self.accepted}
        self.model = aggregate(self.model, updates)
        self.disk.models[number + 1] = self.model
        entry = {"model_sha256": self.model, "contributions": sorted(updates)}
        facts = {"round": number, "summary": entry, "wall_seconds": 0.0}
        self._record(Kind.ROUND_CLOSED, facts, lambda: self._forget(number))
        self._handle(events.Aggregated(number))

    def _forget(self, number: int) -> None:
        for key in [key for key in self.disk.updates if key[0] <= number]:
            del self.disk.updates[key]

    # Small helpers

    def _record(
        self, kind: Kind, facts: dict[str, Any], done: Callable[[], None] | None = None
    ) -> None:
        self.disk.append(kind, facts, done or (lambda: None))

    def _renew(self, client: str) -> bool:
        if client not in self.leases:
            return False
        self.leases[client] = self.world.now + LEASE
        return True

    def _sweep(self) -> None:
        if not self.alive or self.ended:
            return
        for client in [c for c, until in self.leases.items() if until <= self.world.now]:
            del self.leases[client]
            self.invited.pop(client, None)
            self._record(Kind.CLIENT_LEFT, {"client": client, "reason": "lease"})
            self._handle(events.ClientLeft(client, "lease"))
        self.world.later(LEASE / 4, self._sweep)

    def _serve(self) -> None:
        for client, (after, reply) in list(self.waiting.items()):
            attempt = self.invited.get(client)
            if self.over and self.ended and self.ended[0] != "stopped":
                reply("end", self.ended)
            elif attempt is not None and not self.closing and (self.round, attempt) > after:
                reply("task", (self.round, attempt, self.model))
            else:
                continue
            del self.waiting[client]
