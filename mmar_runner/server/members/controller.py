# SPDX-License-Identifier: Apache-2.0
"""The controller of a tree: says which combiner a client works below, and keeps that on record.

Who a client is its certificate says, and whom a combiner may let in this server says itself,
with every task: there is no paper that a client carries from one to the other, so none can be
forged, and none can be too old.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import NotAuthorizedError, RefusedError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.members.registry import require_client_name
from mmar_runner.server.records.record import Kind
from mmar_runner.wire.messages import AssignReply, AssignStatus

if TYPE_CHECKING:
    from mmar_runner.federation.assignment import AssignmentTable, Expected
    from mmar_runner.federation.sites import Sites
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.interfaces.update import UpdateFacts
    from mmar_runner.server.gate.names import NameRule
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import AssignRequest

#: After how long a client that has to wait asks again, in seconds.
RETRY_SECONDS: Final = 1.0
#: How often in a round the sum of one combiner is taken back for clients that it lacks and that a
#: round could do without.
_MOST_TAKEN_BACK: Final = 4
#: Combiners that a client may say it cannot reach.
_MOST_AVOIDED: Final = 64


class Controller:
    """Assigns the clients of one run to its combiners.

    Args:
        table: Who works below whom.
        record: Remembers it across restarts.
        members: Know which combiners are there.
        coordinator: Runs the rounds.
        observer: Sees who is assigned.
        names: Says who may have which name.
        sites: Keeps places for those that are admitted.
    """

    def __init__(
        self,
        table: AssignmentTable,
        record: RunRecord,
        members: Members,
        coordinator: Coordinator,
        observer: Observer,
        *,
        names: NameRule,
        sites: Sites,
    ) -> None:
        self._table = table
        self._record = record
        self._members = members
        self._coordinator = coordinator
        self._observer = observer
        self._names = names
        self._sites = sites
        self._told: dict[str, Expected] = {}
        self._moved: dict[str, float] = {}
        self._clock = time.monotonic  # as the loop's
        table.gone = self._gone
        members.tree.changed, members.tree.returned = self.look, self._returned
        self._waiting: dict[str, str] = {}
        self._taken_back: Counter[str] = Counter()
        self._round = -1

    def begin(self) -> None:
        """Ask combiners again whose sums lack clients that were assigned when a server ended."""
        for name in self._present():
            self._ask_anew(name)

    def look(self) -> None:
        """Ask combiners again of whom something else is expected than they were told."""
        present = self._present()
        for name in present:
            before, now = self._told.get(name), self.expected(name)
            if before is None or now is None or self._table.counted(name) is not None:
                continue
            if now.sites != before.sites or now.needed < before.needed:
                self._told.pop(name)  # until it is told
                self._coordinator.ask_anew(name)
        for name in self._table.lacking(present):
            self._coordinator.ask_anew(name)
        for name in present:
            self._look_at(name)

    def _look_at(self, combiner: str) -> None:
        """Let a combiner without clients stand aside; have one that counts take in who has come."""
        counted, known = self._table.counted(combiner), self._members.known(combiner)
        if counted is None:
            if not self._table.below(combiner):
                self._coordinator.stand_aside(combiner)
            return
        there = () if known is None else (site.path for site in known.below)
        if (self._table.asked(combiner) - counted).intersection(there):
            self._take_back(combiner)

    def _take_back(self, combiner: str) -> None:
        """Have a combiner send another sum for clients that the round can do without: not often."""
        if self._coordinator.next_round != self._round:
            self._round = self._coordinator.next_round
            self._taken_back.clear()
        if self._taken_back[combiner] < _MOST_TAKEN_BACK:
            self._taken_back[combiner] += 1
            self._ask_anew(combiner)

    async def assign(self, request: AssignRequest, peer: Peer) -> AssignReply:
        """Say which combiner a client works below; it is on record before it is said.

        Raises:
            RefusedError: NAME_INVALID, NAME_MISMATCH or TOO_MANY_CLIENTS.
            StorageError: It cannot be recorded.
        """
        name = request.client_name
        require_client_name(name)
        try:
            self._names.check(name, peer, self._members.instances(peer.fingerprint))
        except NotAuthorizedError as error:
            status = AssignStatus.ASSIGN_STATUS_UNAUTHORIZED
            return AssignReply(status=status, message=error.message)
        chosen = self._choose(name, request)
        if chosen is None:
            return self._later(name)
        self._waiting.pop(name, None)
        if self._table.combiner_of.get(name) != chosen:
            self._require_place(name)
            await self._move(name, chosen)
        known = self._members.known(chosen)
        target = "" if known is None else known.serves_at
        return AssignReply(
            status=AssignStatus.ASSIGN_STATUS_ASSIGNED,
            combiner=chosen,
            target=target,
            serves=known is not None and known.given[0] >= 0,
        )

    def expected(self, name: str) -> Expected | None:
        """Return what is expected of a combiner for the open round; None of whoever is none."""
        if name not in self._table.combiners:
            return None
        return self._table.expected(name, self._members.present())

    def told(self, name: str) -> Expected | None:
        """Return what is expected of a combiner, which is told now."""
        expected = self.expected(name)
        if expected is not None:
            self._told[name] = expected
        return expected

    def check(self, name: str, facts: UpdateFacts) -> None:
        """Hold a combiner's sum against who is assigned to it.

        Raises:
            RefusedError: NOT_ASSIGNED, it holds somebody who is not; SITES_CHANGED, it lacks too
                many who are.
        """
        if (expected := self.expected(name)) is None:
            return
        sites = {part.site for part in facts.parts}
        if others := sorted(sites - expected.sites):
            msg = f"{others[0]} is not assigned to {name}, whose sum holds it"
            raise RefusedError(msg, reason="NOT_ASSIGNED", hint="the task says who is")
        if (found := self._table.count(sites)) < expected.needed:
            msg = f"the sum of {name} holds {found} sites, and {expected.needed} are needed"
            raise RefusedError(msg, reason="SITES_CHANGED", hint="ask for the task again")

    def _returned(self, combiner: str) -> None:
        """Give a combiner its task again: what it knows of its clients may be old."""
        self._told.pop(combiner, None)
        self._ask_anew(combiner)
        self.look()

    def _choose(self, name: str, request: AssignRequest) -> str | None:
        """Choose; who says that a combiner does not answer is moved at most once a lease."""
        moved = self._moved.get(name, float("-inf"))
        settled = self._clock() - moved > self._members.lease_seconds
        avoid = frozenset(islice(request.avoid, _MOST_AVOIDED)) if settled else frozenset()
        working = set(self._present()) - self._coordinator.failed()
        there = working or self._present()
        return self._table.choose(name, there, request.preferred_combiner, avoid)

    def _gone(self, combiner: str) -> frozenset[str]:
        """Return which clients of a combiner at work have not been there for a lease, it says."""
        known = self._members.known(combiner)
        if known is None or not known.state.at_work:
            return frozenset()
        if self._clock() - known.since <= self._members.lease_seconds:
            return frozenset()  # they may be on their way
        there = {site.path for site in known.below}
        lease, now = self._members.lease_seconds, self._clock()
        return frozenset(
            name
            for name in self._table.below(combiner) - there
            if now - self._moved.get(name, float("-inf")) > lease
        )

    def _present(self) -> list[str]:
        return [name for name in self._members.present() if name in self._table.combiners]

    def _later(self, name: str) -> AssignReply:
        pin = self._table.pinned.get(name)
        message = "no combiner is there" if pin is None else f"its combiner {pin} is not there"
        if self._waiting.get(name) != message and len(self._waiting) < self._members.max_clients:
            self._waiting[name] = message
            facts = {"message": f"{name} waits for a combiner: {message}"}
            self._observer.observe(Observation(Topic.WAITING, facts))
        status = AssignStatus.ASSIGN_STATUS_TRY_AGAIN
        return AssignReply(status=status, message=message, retry_seconds=RETRY_SECONDS)

    def _require_place(self, name: str) -> None:
        placed, most = self._table.combiner_of, self._members.max_clients
        if name in placed or self._sites.has_place(name, placed, most):
            return
        msg = f"the federation is full: max_num_clients is {most}"
        raise RefusedError(msg, reason="TOO_MANY_CLIENTS", hint="raise max_num_clients")

    async def _move(self, name: str, combiner: str) -> None:
        """Put a client below a combiner: at once, so that the next one finds it there."""
        table = self._table
        before = table.combiner_of.get(name, "")
        is_first = not table.below(combiner)
        table.combiner_of[name] = combiner
        self._moved[name] = self._clock()
        facts = {"client": name, "combiner": combiner, "before": before}
        recorded = self._record.append(Kind.CLIENT_ASSIGNED, facts)
        self._observer.observe(Observation(Topic.ASSIGNED, facts))
        if is_first:
            self._coordinator.client_joined(combiner)
        else:
            if self._table.counted(combiner) is not None:
                self._take_back(combiner)
            self._coordinator.look()
        self.look()
        await asyncio.wrap_future(recorded)

    def _ask_anew(self, combiner: str) -> None:
        """Have a combiner send a sum that holds the clients which it has now."""
        counted = self._table.counted(combiner)
        if counted is None or self._table.asked(combiner) - counted:
            self._coordinator.ask_anew(combiner)
