# SPDX-License-Identifier: Apache-2.0
"""What an administrator decides of a run that goes on: put on record, told, and handed on.

Each decision is noted in the ledger, told to whoever watches and handed to the machine in one
step, as the answers of clients are.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import OrderError, StorageError
from mmar_runner.federation import events
from mmar_runner.server.records.record import Kind, Removed
from mmar_runner.server.rounds.minimum import unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    from mmar_runner.federation.round_machine import RoundMachine
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.ledger import Ledger
    from mmar_runner.server.rounds.minimum import MinimumBounds
    from mmar_runner.server.rounds.workbench import Workbench
    from mmar_runner.server.telling.reporter import Reporter
    from mmar_runner.storage.spool import Spool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removal:
    """A client that was removed just now.

    Attributes:
        removed: What goes on record of it.
        sentence: What that means for the open round.
        recorded: Resolved once it is on record.
    """

    removed: Removed
    sentence: str
    recorded: asyncio.Future[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """Takes decisions about the open round and those after it, on the event loop.

    Attributes:
        machine: Decides what follows.
        assignments: Knows the open round.
        ledger: Notes the decisions.
        reporter: Tells who wants to know.
        bounds: What a minimum may be.
        spool: Where large updates lie.
        workbench: Holds what is under way.
        decide: Hands an event to the machine; nothing happens in a run that has ended.
        is_over: Says whether the run has ended.
    """

    machine: RoundMachine
    assignments: Assignments
    ledger: Ledger
    reporter: Reporter
    bounds: MinimumBounds
    spool: Spool
    workbench: Workbench
    decide: Callable[[events.Event], None]
    is_over: Callable[[], bool]

    def set_min_clients(self, number: int) -> None:
        """Have every round need updates of so many sites, the open one among them.

        Raises:
            OrderError: MIN_CLIENTS, no round could reach it, or the aggregator not use it;
                RUN_ENDED.
        """
        self.require_run()
        self.bounds.check(number)
        if not self.machine.can_reach(number):
            raise unreachable(number, self.machine.waiting_for())
        before, of_round = self.machine.minimum, self.machine.round
        if number == before:
            return
        self.ledger.record(Kind.MIN_CLIENTS_SET, {"number": number, "round": of_round})
        self.reporter.min_clients(number, before, of_round)
        self.decide(events.MinimumChanged(number))

    def give_again(self, name: str) -> None:
        """Give a client its task of the open round again, without counting a failure.

        It is given once that is on record: a client must not have an attempt of which a server
        that is started again knows nothing.

        Raises:
            OrderError: NO_ROUND, CLIENT_UNKNOWN, CLIENT_DONE or NOT_A_PARTICIPANT.
        """
        number = self.machine.round
        if self.is_over() or self.machine.phase != "updates":
            msg = f"no round takes updates now: {self._at()}"
            raise OrderError(msg, hint="wait until a round is open", reason="NO_ROUND")
        if name not in (present := self.machine.present()):
            raise unknown_client(name, present)
        if self.ledger.already_counted(name, number):
            msg = f"the update of {name} for round {number} was accepted: its task is done"
            hint = "its next task comes with the next round"
            raise OrderError(msg, hint=hint, reason="CLIENT_DONE")
        if not self.machine.works(name):
            msg = f"{name} has no task in round {number}: others were drawn for it"
            hint = "its task comes with a round for which it is drawn"
            raise OrderError(msg, hint=hint, reason="NOT_A_PARTICIPANT")
        recorded = self.ledger.record(Kind.TASK_GIVEN_AGAIN, {"client": name, "round": number})
        self.reporter.task_given_again(name, number)
        self.workbench.spawn(self._give_again(name, number, recorded))

    def ask_anew(self, name: str) -> None:
        """Have a combiner send another sum for the open round: others work below it than before.

        One that counts already is taken back. In a round that is being added up, and of whoever
        has no part in it, nothing is asked.
        """
        number = self.machine.round
        if self.is_over() or self.machine.phase != "updates" or not self.machine.works(name):
            return
        if name not in self.machine.present():
            return
        facts = {"client": name, "round": number}
        if (counted := self.ledger.accepted(name)) is None:
            recorded = self.ledger.record(Kind.TASK_GIVEN_AGAIN, facts)
            self.workbench.spawn(self._give_again(name, number, recorded))
            return
        recorded = self.ledger.record(Kind.UPDATE_TAKEN_BACK, facts)
        clearing = self._clear(name, number, counted, recorded, ())
        self.ledger.clearing(name, self.workbench.spawn(clearing))
        self.decide(events.UpdateTakenBack(name, number))

    def remove(
        self, name: str, key_sha256: str, reason: str, ended: Collection[asyncio.Task[object]]
    ) -> Removal:
        """Take a client out of the run, and what it sent out of the open round.

        Of a round whose updates are being added up its update stays a part; so it does if
        that round has to be opened again.

        Args:
            name: The client; it is not there any more.
            key_sha256: Of its session's key.
            reason: Why.
            ended: Its calls, which are ending: until they have, one may still write its file.

        Raises:
            OrderError: RUN_ENDED.
        """
        self.require_run()
        number = self.machine.round
        leaves = self.machine.works(name)
        removed = Removed(name, key_sha256, reason, number if leaves else None)
        counted = self.ledger.accepted(name) if leaves else None
        recorded = self.ledger.record(Kind.CLIENT_REMOVED, removed.to_json())
        if self.assignments.current is not None:
            self.assignments.current.invited.pop(name, None)
        if leaves:
            clearing = self._clear(name, number, counted, recorded, ended)
            self.ledger.clearing(name, self.workbench.spawn(clearing))
        sentence = self._sentence(removed, counted is not None)
        self.reporter.client_removed(removed, sentence)
        self.decide(events.ClientRemoved(name))
        return Removal(removed, sentence, asyncio.wrap_future(recorded))

    async def _give_again(self, name: str, number: int, recorded: Future[int]) -> None:
        try:
            await asyncio.wrap_future(recorded)
        except StorageError:
            return  # the ledger has told, and the run is interrupted
        if self.machine.round == number:
            self.decide(events.TaskGivenAgain(name))

    async def _clear(
        self,
        name: str,
        number: int,
        counted: CountedUpdate | None,
        recorded: Future[int],
        ended: Collection[asyncio.Task[object]],
    ) -> None:
        """Delete what a client had sent: once it is on record that it does not count."""
        try:
            await asyncio.wrap_future(recorded)
            if ended:
                await asyncio.wait(ended)
            loop = asyncio.get_running_loop()
            if counted is not None:
                await asyncio.wrap_future(self.ledger.drop(counted))
            base = number if counted is None else counted.update.base
            await loop.run_in_executor(self.workbench.thread, self.spool.discard, base, name)
        except StorageError as error:  # what is left of it goes with its round
            _log.warning("what %s sent is not deleted yet: %s", name, error.message)

    def _sentence(self, removed: Removed, had_update: bool) -> str:  # noqa: FBT001
        name, number = removed.client, self.machine.round
        if removed.round is not None:
            what = "its update leaves" if had_update else "nothing of it counts in"
            return f"{name} is removed; {what} round {number}"
        if self.machine.phase == "aggregation":
            return f"{name} is removed from the next round on: round {number} is being added up"
        return f"{name} is removed; it had no task in round {number}"

    def require_run(self) -> None:
        """Refuse to decide anything of a run that has ended.

        Raises:
            OrderError: RUN_ENDED.
        """
        if self.is_over():
            msg = "the run has ended: nothing of it can be changed any more"
            raise OrderError(msg, hint="begin another run", reason="RUN_ENDED")

    def _at(self) -> str:
        return "the run has ended" if self.is_over() else self.machine.waiting_for()


def unknown_client(name: str, names: Collection[str]) -> OrderError:
    """Return the error of a name under which no client is there.

    Args:
        name: What was asked for.
        names: Who is there.
    """
    hint = f"there are: {', '.join(sorted(names))}" if names else "no client is there"
    msg = f"no client {name!r:.80} is in this run"
    return OrderError(msg, hint=hint, reason="CLIENT_UNKNOWN")
