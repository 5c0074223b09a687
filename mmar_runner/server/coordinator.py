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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import (
    AuditError,
    MmarRunnerError,
    RefusedError,
    StorageError,
)
from mmar_runner.federation import actions, events
from mmar_runner.server.closing import Withdrawn
from mmar_runner.server.ledger import Ledger
from mmar_runner.server.open_round import OpenRound
from mmar_runner.server.record import Kind
from mmar_runner.wire.messages import RunEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from mmar_runner.federation.round_machine import Phase, RoundMachine
    from mmar_runner.server.closing import RoundCloser
    from mmar_runner.server.models import ModelFile
    from mmar_runner.server.record import AcceptedUpdate
    from mmar_runner.server.reporter import Reporter
    from mmar_runner.server.space import DiskWait
    from mmar_runner.storage.journal import Journal

_log = logging.getLogger(__name__)

#: Names updates among all that may wait for space on a disk.
_UPDATES: Final = "updates"


class Coordinator:
    """Runs the rounds of one run.

    Args:
        machine: Decides.
        model: The model of the first round to open.
        journal: Where decisions are recorded.
        closer: Turns a round's updates into the next model.
        reporter: Tells who wants to know.
        last_round: For every client, the last round an update was accepted in.
        note_refusal: Writes down whose update was withdrawn, the reason and a sentence.
        disk: Knows what waits for space.

    Attributes:
        ended: Resolved with status and reason once the run is decided.
        round: The round that is or was open last.
        ledger: What was counted.
    """

    def __init__(
        self,
        machine: RoundMachine,
        model: ModelFile,
        *,
        journal: Journal,
        closer: RoundCloser,
        reporter: Reporter,
        last_round: dict[str, int],
        note_refusal: Callable[[str, str, str], None],
        disk: DiskWait,
    ) -> None:
        self._machine = machine
        self._note_refusal = note_refusal
        self._model = model
        self._closer = closer
        self._reporter = reporter
        self._disk = disk
        self._restored = OpenRound(-1, model, 0.0)
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._work = ThreadPoolExecutor(1, thread_name_prefix="rounds")
        self._tasks: set[asyncio.Task[None]] = set()
        self._announced = False
        self.ledger = Ledger(journal, last_round, self.interrupt)
        self.ended: asyncio.Future[tuple[str, str]] = self._loop.create_future()
        self.round: OpenRound | None = None

    # What the world tells

    def restore(
        self, accepted: Iterable[tuple[AcceptedUpdate, int]], rejected: Iterable[dict[str, Any]]
    ) -> None:
        """Take back what an earlier process accepted and refused in the first round."""
        self.ledger.restore(self._restored, accepted)
        self._restored.rejected.extend(rejected)

    def begin(self) -> None:
        """Begin: a run without rounds to do ends here."""
        self._handle(events.Tick())

    def client_joined(self, name: str) -> None:
        """A client is there that was not."""
        self._handle(events.ClientJoined(name))

    def client_left(self, name: str, reason: str) -> None:
        """A client has gone, by itself or because its lease ended."""
        self.ledger.record(Kind.CLIENT_LEFT, {"client": name, "reason": reason})
        if self.round is not None:
            self.round.invited.pop(name, None)
        # Whoever else lacks space for an update says so with its next attempt.
        self._disk.note(_UPDATES, None)
        self._handle(events.ClientLeft(name, reason))

    def stop(self, reason: str) -> None:
        """Whoever runs the server wants it to stop; the run can be resumed."""
        self._handle(events.StopRequested(reason))

    def give_up(self) -> None:
        """Leave what is under way: whatever is not on record, the resumed run does again."""
        self._closer.give_up()
        if self.ended.done() and self.ended.result()[0] == "finished":
            return  # the last round's files are being settled, before its end is on record
        for task in self._tasks:
            task.cancel()

    def fail(self, reason: str) -> None:
        """The run cannot go on."""
        self._finish("failed", reason)

    def interrupt(self, error: BaseException) -> None:
        """The disk refuses: what is recorded stays, and the run can be resumed."""
        self._finish("stopped", str(error))

    def update_accepted(self, update: AcceptedUpdate, data: bytes | None) -> bool:
        """Count an update that was checked and, unless inline, lies in the spool.

        Its client may be told once `Ledger.until_recorded` returns.

        Args:
            update: What was checked.
            data: Its bytes, if they travel in the journal.

        Returns:
            False if one of this client and round was counted before: this one is not.

        Raises:
            RefusedError: ROUND_MISMATCH; the round was closed meanwhile.
        """
        if self.ledger.already_counted(update.client, update.round):
            return False
        current = self.require_round(update.round)
        self.ledger.accept(current, update, data)
        self._disk.note(_UPDATES, None)
        self._reporter.update_accepted(update)
        self._handle(events.UpdateAccepted(update.client, update.round))
        return True

    def update_refused(
        self, client: str, round_number: int, update_id: str, error: MmarRunnerError
    ) -> None:
        """An update was looked at and is not usable: its client has failed its task."""
        current = self.round
        if current is None or current.number != round_number or client not in current.invited:
            return
        # A copy: the error's own traceback would hold the bytes of the refused update.
        current.refused[update_id] = copy(error)
        self.ledger.reject(current, Kind.UPDATE_REFUSED, client, error.reason, error.message)
        self._reporter.update_refused(current.number, client, error.reason, error.message)
        self._failed(current, client, error.reason, error.message)

    def update_not_stored(self, error: StorageError) -> None:
        """The disk has no room for an update; its client tries again."""
        self._disk.note(_UPDATES, error)

    async def task_failed(
        self, client: str, round_number: int, attempt: int, *, reason: str, message: str
    ) -> None:
        """A client says that it cannot do its task; return once that is on record.

        An attempt that has failed before, or was accepted, is not counted again.

        Raises:
            RefusedError: ROUND_MISMATCH.
            StorageError: It cannot be recorded.
        """
        current = self.require_round(round_number)
        if current.invited.get(client) != attempt:
            return
        recorded = self.ledger.reject(current, Kind.TASK_FAILED, client, reason, message)
        self._reporter.task_failed(current.number, client, reason, message)
        self._failed(current, client, reason, message)
        await asyncio.wrap_future(recorded, loop=self._loop)

    def conclude(self, status: str, reason: str) -> None:
        """Take back how an earlier process ended the run: from now on clients are told."""
        self._finish(status, reason)
        self.announce()

    def announce(self) -> None:
        """The run's end is on record: from now on clients are told."""
        self._announced = True
        self._notify()

    # What the world asks

    def require_round(self, number: int) -> OpenRound:
        """Return the open round, if it is that one.

        Raises:
            RefusedError: ROUND_MISMATCH.
        """
        current = self.round
        if current is None or current.closing or current.number != number:
            open_now = "no round" if current is None else f"round {current.number}"
            msg = f"round {number} takes no updates: {open_now} is the current one"
            raise RefusedError(msg, reason="ROUND_MISMATCH", hint="ask for the current model")
        return current

    def task_of(self, client: str, after: tuple[int, int]) -> OpenRound | None:
        """Return the open round if a client is to work in it.

        Args:
            client: Who asks.
            after: The round and attempt that it was given last.
        """
        current = self.round
        if current is None or current.closing:
            return None
        attempt = current.invited.get(client)
        if attempt is None or (current.number, attempt) <= after:
            return None
        return current

    async def changed(self) -> None:
        """Wait until a round opens, a client is invited, or the end is announced."""
        await self._changed.wait()

    def outcome(self) -> RunEnd | None:
        """Return how the run has ended, or None while nobody may be told.

        Raises:
            RefusedError: SERVER_STOPPING; the run will go on, but not here and now.
        """
        if not self._announced:
            return None
        status, reason = self.ended.result()
        if status == "stopped":
            msg = "the server is stopping; the run goes on when it is back"
            raise RefusedError(msg, reason="SERVER_STOPPING")
        return RunEnd(status=status, reason=reason)

    def current_round(self) -> int:
        """The number of the round that is or was open last; -1 before the first."""
        return -1 if self.round is None else self.round.number

    @property
    def phase(self) -> Phase:
        """What the run is at."""
        return "over" if self.ended.done() else self._machine.phase

    def missing(self) -> tuple[str, ...]:
        """Return of whom the open round has no answer, there or not, sorted."""
        return self._machine.missing()

    def waiting_for(self, describe: Callable[[str], str] | None = None) -> str:
        """Say what the run waits for; see `RoundMachine.waiting_for`."""
        return self._machine.waiting_for(describe)

    @property
    def next_round(self) -> int:
        """The round that is open, or that opens next: all before it have their result."""
        return self._machine.round

    async def close(self) -> None:
        """Wait for work that is under way; nothing new is begun."""
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._work.shutdown)

    # What the machine says

    def _handle(self, event: events.Event) -> None:
        if self.ended.done():
            return
        for action in self._machine.handle(event, self._loop.time()):
            self._carry_out(action)
        if not self.ended.done():
            self._say_what_is_waited_for()

    def _say_what_is_waited_for(self) -> None:
        stalled = self._machine.stalled
        if self.round is not None and not self.round.closing and not stalled:
            self._reporter.goes_on()
            return
        # A round that is closing is the machine's until its models are added up.
        closing = self.round is not None and self.round.number == self._machine.round
        self._reporter.waiting(self._machine.waiting_for(), for_clients=stalled or not closing)

    def _carry_out(self, action: actions.Action) -> None:
        match action:
            case actions.OpenRound(number, participants):
                self._open(number, participants)
            case actions.Invite(_, client, attempt):
                self._invite(client, attempt)
            case actions.CloseRound():
                self._spawn(self._close())
            case actions.SetTimer(at):
                self._set_timer(at)
            case actions.FinishRun(status, reason):
                self._finish(status, reason)

    def _open(self, number: int, participants: Sequence[str]) -> None:
        # Only the first round of a process has anything to take over.
        restored, self._restored = self._restored, OpenRound(-1, self._model, 0.0)
        failures = Counter(entry["client"] for entry in restored.rejected)
        waiting = [client for client in participants if client not in restored.accepted]
        self.round = OpenRound(
            number,
            self._model,
            self._loop.time(),
            invited={client: 1 + failures[client] for client in waiting},
            accepted=restored.accepted,
            inline=restored.inline,
            rejected=restored.rejected,
        )
        self.ledger.open_round()
        facts = {"round": number, "participants": list(participants)}
        self.ledger.record(Kind.ROUND_OPENED, {**facts, "model_sha256": self._model.sha256})
        self._reporter.round_started(number, participants)
        self._notify()

    def _invite(self, client: str, attempt: int) -> None:
        if self.round is not None and client not in self.round.accepted:
            self.round.invited[client] = attempt
            self._notify()

    async def _close(self) -> None:
        current = self.round
        if current is None:
            return
        current.closed.set()
        self._disk.note(_UPDATES, None)
        self._reporter.before_aggregation(current.number, sorted(current.accepted))
        try:
            closed = await self._closer.close(current, self._work)
        except StorageError as error:
            # The disk, not the run, is to blame: what is on record is there when it is mended.
            self.interrupt(error)
            return
        except MmarRunnerError as error:
            _log.debug("round %d could not be closed", current.number, exc_info=True)
            self.fail(f"round {current.number} could not be closed: {error.message}")
            return
        if isinstance(closed, Withdrawn):
            await self._withdraw(current, closed)
            return
        self._model = closed.model
        self._handle(events.Aggregated(current.number))
        try:
            await self._closer.forget(current, closed, self._work)
        except StorageError as error:
            self.interrupt(error)

    async def _withdraw(self, current: OpenRound, withdrawn: Withdrawn) -> None:
        """Go on without updates; a server that stops meanwhile finds them again.

        Another update takes the place of one that was withdrawn, on the disk too: only once it
        is on record that this one does not count.
        """
        if self.ended.done():
            return
        reason, messages = withdrawn.reason, withdrawn.messages
        recorded = []
        for client, message in messages.items():
            recorded.append(self.ledger.withdraw(current, client, reason, message))
            self._reporter.update_refused(current.number, client, reason, message)
        try:
            for record in recorded:
                await asyncio.wrap_future(record, loop=self._loop)
        except StorageError:
            return  # the ledger has told, and the run is interrupted
        current.reopen()
        causes = {client: f"{reason}: {message}" for client, message in messages.items()}
        self._handle(events.UpdatesWithdrawn(current.number, causes))
        try:
            for client, message in messages.items():
                self._note_refusal(client, reason, message)
        except AuditError as error:  # nobody called who could be told; it is written later
            _log.error("who was refused cannot be written down yet: %s", error.message)

    def _failed(self, current: OpenRound, client: str, reason: str, message: str) -> None:
        self._handle(events.UpdateFailed(client, current.number, f"{reason}: {message}"))

    def _finish(self, status: str, reason: str) -> None:
        if not self.ended.done():
            self._reporter.close()
            self.ended.set_result((status, reason))

    # Small helpers

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, lambda: self._handle(events.Tick()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the coordinator failed", exc_info=error)
            self.fail(f"internal error: {type(error).__name__}")

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
