# SPDX-License-Identifier: Apache-2.0
"""The controller of a tree: says which combiner a client works below, and keeps that on record.

Who a client is its certificate says, and whom a combiner may let in this server says itself,
with every task: there is no paper that a client carries from one to the other, so none can be
forged, and none can be too old.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import NotAuthorizedError, RefusedError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.members.registry import require_client_name
from mmar_runner.server.records.record import Kind
from mmar_runner.wire.messages import AssignReply, AssignStatus

if TYPE_CHECKING:
    from mmar_runner.federation.assignment import AssignmentTable, Expected
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


class Controller:
    """Assigns the clients of one run to its combiners.

    Args:
        table: Who works below whom.
        record: Remembers it across restarts.
        members: Know which combiners are there.
        coordinator: Runs the rounds.
        observer: Sees who is assigned.
        names: Says who may have which name.
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
    ) -> None:
        self._table = table
        self._record = record
        self._members = members
        self._coordinator = coordinator
        self._observer = observer
        self._names = names
        self._told: dict[str, Expected] = {}
        self._waiting: dict[str, str] = {}

    def begin(self) -> None:
        """Ask combiners again whose sums lack clients that were assigned when a server ended."""
        for name in self._present():
            self._ask_anew(name)

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
        chosen = self._table.choose(name, self._present(), request.preferred_combiner)
        if chosen is None:
            return self._later(name)
        self._waiting.pop(name, None)
        if self._table.combiner_of.get(name) != chosen:
            self._require_place(name)
            await self._move(name, chosen)
        known = self._members.known(chosen)
        target = "" if known is None else known.serves_at
        return AssignReply(
            status=AssignStatus.ASSIGN_STATUS_ASSIGNED, combiner=chosen, target=target
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
        if name in self._table.combiner_of:
            return
        if len(self._table.combiner_of) >= (most := self._members.max_clients):
            msg = f"the federation is full: max_num_clients is {most}"
            raise RefusedError(msg, reason="TOO_MANY_CLIENTS", hint="raise max_num_clients")

    async def _move(self, name: str, combiner: str) -> None:
        """Put a client below a combiner: at once, so that the next one finds it there."""
        table = self._table
        before = table.combiner_of.get(name, "")
        is_first = not table.below(combiner)
        table.combiner_of[name] = combiner
        facts = {"client": name, "combiner": combiner, "before": before}
        recorded = self._record.append(Kind.CLIENT_ASSIGNED, facts)
        self._observer.observe(Observation(Topic.ASSIGNED, facts))
        if is_first:
            self._coordinator.client_joined(combiner)
        else:
            self._ask_anew(combiner)
            self._coordinator.look()
        self._ease(combiner)
        await asyncio.wrap_future(recorded)

    def _ease(self, but: str) -> None:
        """Tell the other combiners of whom fewer updates are needed now that more are there."""
        for name in self._present():
            before, now = self._told.get(name), self.expected(name)
            if name == but or before is None or now is None or self._table.counted(name):
                continue
            if now.needed < before.needed and now.sites == before.sites:
                self._coordinator.ask_anew(name)

    def _ask_anew(self, combiner: str) -> None:
        """Have a combiner send a sum that holds the clients which it has now."""
        counted = self._table.counted(combiner)
        if counted is None or self._table.asked(combiner) - counted:
            self._coordinator.ask_anew(combiner)
