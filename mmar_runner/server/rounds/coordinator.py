# SPDX-License-Identifier: Apache-2.0
"""The single writer of a run: feeds the round machine and carries out what it says.

Everything here runs on the event loop's thread, so no state needs a lock. What takes
time (arithmetic, disk) is handed to worker threads, and its end comes back as an
event. The order of journal records is the order of decisions; only receipts wait for
them to be durable.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mmar_runner.errors import MmarRunnerError, StorageError
from mmar_runner.federation import actions, events
from mmar_runner.federation.run_status import RunEndStatus, RunStatus
from mmar_runner.server.records.record import Kind
from mmar_runner.server.rounds.administration import Administration
from mmar_runner.server.rounds.after import NothingAfter
from mmar_runner.server.rounds.answers import Answers
from mmar_runner.server.rounds.ledger import Ledger
from mmar_runner.server.rounds.round_aggregation import Withdrawn
from mmar_runner.server.rounds.withdrawal import Withdrawal
from mmar_runner.server.rounds.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mmar_runner.federation.round_machine import Phase, RoundMachine
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.records.update_bytes import UpdateBytes
    from mmar_runner.server.rounds.administration import Removal
    from mmar_runner.server.rounds.after import AfterRounds
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.buffers import Buffers
    from mmar_runner.server.rounds.closing import RoundCloser
    from mmar_runner.server.rounds.minimum import MinimumBounds
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.telling.reporter import Reporter
    from mmar_runner.server.telling.space import DiskWait
    from mmar_runner.storage.spool import Spool

_log = logging.getLogger(__name__)


class Coordinator:
    """Runs the rounds of one run.

    Args:
        machine: Decides.
        model: The model of the first round to open.
        assignments: Where clients find what they are to do.
        record: Where decisions are recorded, and what they add up to.
        updates: Keeps the bytes of small updates at hand.
        closer: Turns a round's updates into the next model.
        reporter: Tells who wants to know.
        note_refusal: Writes down whose update was withdrawn, the reason and a sentence.
        disk: Knows what waits for space.
        spool: Where large updates lie.
        bounds: What an administrator may change the minimum to.
        after: What is done once the rounds are, if anything.
        buffers: Says what counts where clients do not wait for each other; None elsewhere.

    Attributes:
        ended: Resolved with status and reason once the run is decided.
        hint: Where to look if it has failed, or empty. It names files of this machine, and is
            told to nobody else.
        answers: Takes what clients answer.
    """

    def __init__(
        self,
        machine: RoundMachine,
        model: ModelFile,
        *,
        assignments: Assignments,
        record: RunRecord,
        updates: UpdateBytes,
        closer: RoundCloser,
        reporter: Reporter,
        note_refusal: Callable[[str, str, str], None],
        disk: DiskWait,
        spool: Spool,
        bounds: MinimumBounds,
        after: AfterRounds | None = None,
        buffers: Buffers | None = None,
    ) -> None:
        self._after = after or NothingAfter()
        self._validating = False
        self._closing: asyncio.Task[None] | None = None
        self._machine = machine
        self._model = model
        self._assignments = assignments
        self._closer = closer
        self._reporter = reporter
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[tuple[RunEndStatus, str]] = self._loop.create_future()
        self._buffered = buffers is not None
        self._workbench = Workbench(self.fail)
        self._ledger = Ledger(record, updates, self.interrupt)
        self._withdrawal = Withdrawal(self._ledger, reporter, note_refusal)
        self.answers = Answers(
            assignments, self._ledger, reporter, disk, self._handle, buffers=buffers
        )
        self._administration = Administration(
            machine=machine,
            assignments=assignments,
            ledger=self._ledger,
            reporter=reporter,
            bounds=bounds,
            spool=spool,
            workbench=self._workbench,
            decide=self._handle,
            is_over=self.ended.done,
        )
        self.hint = ""

    # What the world tells

    def begin(self) -> None:
        """Begin: a run without rounds to do ends here."""
        self._tick()

    def client_joined(self, name: str) -> None:
        """A client is there that was not."""
        self._handle(events.ClientJoined(name))

    def client_left(self, name: str, reason: str) -> None:
        """A client has gone, by itself or because its lease ended."""
        self._ledger.record(Kind.CLIENT_LEFT, {"client": name, "reason": reason})
        if self.round is not None:
            self.round.invited.pop(name, None)
        self.answers.need_no_space()
        self._handle(events.ClientLeft(name, reason))

    def stand_aside(self, name: str) -> None:
        """A combiner that is there has no clients: it has no part in rounds until it has."""
        if name in self._machine.present():
            if self.round is not None:
                self.round.invited.pop(name, None)
            self._handle(events.ClientLeft(name, "no client is assigned to it"))

    def stop(self, reason: str) -> None:
        """Whoever runs the server wants it to stop; the run can be resumed."""
        self._handle(events.StopRequested(reason))
        if self._validating:
            self._finish(RunStatus.STOPPED, reason)

    def give_up(self) -> None:
        """Leave what is under way: whatever is not on record, the resumed run does again."""
        self._closer.give_up()
        if self.ended.done() and self.ended.result()[0] is RunStatus.FINISHED:
            return  # the last round's files are being settled, before its end is on record
        self._workbench.give_up()

    def pass_round(self) -> None:
        """A combiner's parent has gone on without it: nobody waits for the round's updates."""
        self._handle(events.RoundPassed(self._machine.round))

    def end(self, status: RunEndStatus, reason: str) -> None:
        """A combiner's parent has ended the run."""
        self._finish(status, reason)

    def fail(self, reason: str, hint: str | None = None) -> None:
        """The run cannot go on."""
        if not self.ended.done():
            self.hint = hint or ""
        self._finish(RunStatus.FAILED, reason)

    def interrupt(self, error: BaseException) -> None:
        """The disk refuses: what is recorded stays, and the run can be resumed."""
        self._finish(RunStatus.STOPPED, str(error))

    def conclude(self, status: RunEndStatus, reason: str) -> None:
        """Take back how an earlier process ended the run: from now on clients are told."""
        self._finish(status, reason)
        self.announce()

    def announce(self) -> None:
        """The run's end is on record: from now on clients are told."""
        self._assignments.announce(*self.ended.result())

    # What an administrator decides

    def set_min_clients(self, number: int) -> None:
        """Have every round need updates of so many sites; see `Administration`.

        Raises:
            OrderError: MIN_CLIENTS or RUN_ENDED.
        """
        self._administration.set_min_clients(number)

    def ask_anew(self, name: str) -> None:
        """Have a combiner send another sum for the open round; see `Administration`."""
        self._administration.ask_anew(name)

    def need(self, number: int) -> None:
        """A combiner's parent says of how many sites the sum of a round needs updates."""
        if number != self._machine.minimum:
            self._handle(events.MinimumChanged(number))

    def look(self) -> None:
        """Look again whether a round is to open, or to close."""
        self._tick()

    def give_again(self, name: str) -> None:
        """Give a client its task of the open round again; see `Administration`.

        Raises:
            OrderError: NO_ROUND, CLIENT_UNKNOWN, CLIENT_DONE or NOT_A_PARTICIPANT.
        """
        self._administration.give_again(name)

    def require_run(self) -> None:
        """Refuse to decide anything of a run that has ended.

        Raises:
            OrderError: RUN_ENDED.
        """
        self._administration.require_run()

    def remove(
        self, name: str, key_sha256: str, reason: str, ended: Collection[asyncio.Task[object]]
    ) -> Removal:
        """Take a client out of the run; see `Administration`, and `Members.remove`.

        Raises:
            OrderError: RUN_ENDED.
        """
        self.answers.need_no_space()
        return self._administration.remove(name, key_sha256, reason, ended)

    # What the world asks

    @property
    def min_clients(self) -> int:
        """Of how many sites a round needs updates, as it is in force."""
        return self._machine.minimum

    @property
    def round(self) -> OpenRound | None:
        """The round that is or was open last."""
        return self._assignments.current

    @property
    def phase(self) -> Phase:
        """What the run is at."""
        if self.ended.done():
            return "over"
        return "validation" if self._validating else self._machine.phase

    def failed(self) -> frozenset[str]:
        """Return whose task of the open round has failed for good."""
        return self._machine.failed()

    def missing(self) -> tuple[str, ...]:
        """Return of whom the open round has no answer, there or not, sorted."""
        return self._after.missing() if self._validating else self._machine.missing()

    def waiting_for(self, describe: Callable[[str], str] | None = None) -> str:
        """Say what the run waits for; see `RoundMachine.waiting_for`."""
        if self._validating:
            return self._after.waiting_for()
        return self._closer.waiting or self._machine.waiting_for(describe)

    @property
    def next_round(self) -> int:
        """The round that is open, or that opens next: all before it have their result."""
        return self._machine.round

    @property
    def validated(self) -> int:
        """What grows with everything that comes in cross-site validation."""
        return self._after.mark

    async def close(self) -> None:
        """Wait for work that is under way; nothing new is begun."""
        await self._closer.exchange.close()
        await self._workbench.close()

    # What the machine says

    def _handle(self, event: events.Event) -> None:
        if self.ended.done():
            return
        if self._validating:
            if isinstance(event, events.ClientJoined | events.ClientLeft | events.ClientRemoved):
                self._after.handle(event)
            return
        for action in self._machine.handle(event, self._loop.time()):
            self._carry_out(action)
        self._closer.exchange.look()  # whoever is awaited there may have gone
        if not self.ended.done() and not self._validating:
            self._say_what_is_waited_for()

    def _tick(self) -> None:
        self._handle(events.Tick())

    def _say_what_is_waited_for(self) -> None:
        stalled = self._machine.stalled
        if self.round is not None and not self.round.closing and not stalled:
            self._reporter.goes_on()
            return
        # A round that is closing is the machine's until its models are added up.
        closing = self.round is not None and self.round.number == self._machine.round
        what = self._closer.waiting or self._machine.waiting_for()
        self._reporter.waiting(what, for_clients=stalled or not closing)

    def _carry_out(self, action: actions.Action) -> None:
        match action:
            case actions.OpenRound(number, participants):
                self._open(number, participants)
            case actions.Invite(_, client, attempt):
                self._assignments.invite(client, attempt)
            case actions.PassTurn(_, client, attempt, before):
                self._pass_turn(client, attempt, before)
            case actions.CloseRound():
                if self._buffered and self.round is not None:
                    self.round.closed.set()  # who waits for the next buffer waits on
                self._closing = self._workbench.spawn(self._close())
            case actions.SetTimer(at):
                self._workbench.set_timer(at, self._tick)
            case actions.FinishRun(RunStatus.FINISHED, _) if self._after.is_due:
                self._validating = True
                self._workbench.spawn(self._validate_across_sites())
            case actions.FinishRun(status, reason):
                self._finish(status, reason)

    def _open(self, number: int, participants: Sequence[str]) -> None:
        opened = self._ledger.open_round(number, participants, self._model, self._loop.time())
        self._reporter.round_started(number, participants)
        self._assignments.open(opened)

    def _pass_turn(self, client: str, attempt: int, before: str) -> None:
        if self.round is not None:
            self._ledger.pass_turn(self.round, client, before)
            self._reporter.turn_passed(self.round.number, client, before)
            self._assignments.invite(client, attempt)

    async def _close(self) -> None:
        current = self.round
        if current is None:
            return
        current.closed.set()
        self.answers.need_no_space()
        self._reporter.before_aggregation(current.number, sorted(current.accepted))
        try:
            closed = await self._closer.close(current, self._workbench.thread)
        except StorageError as error:
            # The disk, not the run, is to blame: what is on record is there when it is mended.
            self.interrupt(error)
            return
        except MmarRunnerError as error:
            _log.info("round %d could not be closed", current.number, exc_info=error)
            self.fail(f"round {current.number} could not be closed: {error.message}", error.hint)
            return
        if isinstance(closed, Withdrawn):
            await self._withdraw(current, closed)
            return
        self._model = closed.model
        self._handle(events.Aggregated(current.number, closed.following))
        try:
            await self._closer.forget(current, closed, self._workbench.thread)
        except StorageError as error:
            self.interrupt(error)

    async def _validate_across_sites(self) -> None:
        """Do what is to be done before the run ends, once the last result has all its names."""
        if self._closing is not None:
            await asyncio.wait({self._closing})
        try:
            if not self.ended.done():
                await self._after.run(self._machine.round)
        except StorageError as error:
            self.interrupt(error)
        except MmarRunnerError as error:
            self.fail(f"cross-site validation could not be done: {error.message}", error.hint)
        self._finish(RunStatus.FINISHED, "")

    async def _withdraw(self, current: OpenRound, withdrawn: Withdrawn) -> None:
        if self.ended.done():
            return
        try:
            causes = await self._withdrawal.withdraw(current, withdrawn)
        except StorageError:
            return  # the ledger has told, and the run is interrupted
        self._handle(events.UpdatesWithdrawn(current.number, causes))
        self._withdrawal.note(withdrawn)

    def _finish(self, status: RunEndStatus, reason: str) -> None:
        if not self.ended.done():
            self._reporter.close()
            self.ended.set_result((status, reason))
