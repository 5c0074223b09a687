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
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import DiskFullError, MmarRunnerError, RefusedError
from mmar_runner.federation import actions, events
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.open_round import InlineUpdate, OpenRound
from mmar_runner.server.record import Kind
from mmar_runner.wire.messages import RunEnd

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from mmar_runner.federation.round_machine import RoundMachine
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.closing import RoundCloser
    from mmar_runner.server.events import EventDispatcher
    from mmar_runner.server.models import ModelFile
    from mmar_runner.server.record import AcceptedUpdate
    from mmar_runner.storage.journal import Journal

_log = logging.getLogger(__name__)

#: Bytes of inline updates that are kept at hand; further ones are read from the journal.
_INLINE_BUDGET: Final = 16 << 20


class Coordinator:
    """Runs the rounds of one run.

    Args:
        machine: Decides.
        model: The model of the first round to open.
        journal: Where decisions are recorded.
        closer: Turns a round's updates into the next model.
        dispatcher: Tells handlers and hooks.
        observer: Tells whoever watches.
        num_rounds: The round to stop at, for those who watch.
        last_round: For every client, the last round an update was accepted in.
    """

    def __init__(
        self,
        machine: RoundMachine,
        model: ModelFile,
        *,
        journal: Journal,
        closer: RoundCloser,
        dispatcher: EventDispatcher,
        observer: Observer,
        num_rounds: int,
        last_round: dict[str, int],
    ) -> None:
        self._machine = machine
        self._model = model
        self._journal = journal
        self._closer = closer
        self._dispatcher = dispatcher
        self._observer = observer
        self._num_rounds = num_rounds
        self._last_round = last_round
        self._recording: dict[str, asyncio.Future[int]] = {}
        self._restored: OpenRound | None = None
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._work = ThreadPoolExecutor(1, thread_name_prefix="rounds")
        self._tasks: set[asyncio.Task[None]] = set()
        self._inline_bytes = 0
        self._said = ""
        self._announced = False
        self.ended: asyncio.Future[tuple[str, str]] = self._loop.create_future()
        self.round: OpenRound | None = None

    # What the world tells

    def restore(
        self, accepted: Iterable[tuple[AcceptedUpdate, int]], rejected: Iterable[dict[str, Any]]
    ) -> None:
        """Take back what an earlier process accepted and refused in the first round."""
        restored = OpenRound(0, self._model, 0.0, rejected=list(rejected))
        for update, seq in accepted:
            restored.accepted[update.client] = update
            if update.inline:
                recorded: Future[int] = Future()
                recorded.set_result(seq)
                restored.inline[update.client] = InlineUpdate(recorded, None)
        self._restored = restored

    def begin(self) -> None:
        """Begin: a run without rounds to do ends here."""
        self._handle(events.Tick())

    def client_joined(self, name: str) -> None:
        """A client is there that was not."""
        self._handle(events.ClientJoined(name))

    def client_left(self, name: str, reason: str) -> None:
        """A client has gone, by itself or because its lease ended."""
        self._journal.append(Kind.CLIENT_LEFT, {"client": name, "reason": reason})
        if self.round is not None:
            self.round.invited.pop(name, None)
        self._handle(events.ClientLeft(name, reason))

    def stop(self, reason: str) -> None:
        """Whoever runs the server wants it to stop; the run can be resumed."""
        self._handle(events.StopRequested(reason))

    def fail(self, reason: str) -> None:
        """The run cannot go on."""
        self._finish("failed", reason)

    def interrupt(self, error: MmarRunnerError) -> None:
        """The disk refuses: what is recorded stays, and the run can be resumed."""
        self._finish("stopped", error.message)

    def update_accepted(self, update: AcceptedUpdate, data: bytes | None) -> asyncio.Future[int]:
        """Count an update that was checked and, unless inline, lies in the spool.

        Args:
            update: What was checked.
            data: Its bytes, if they travel in the journal.

        Returns:
            Resolved when the record is durable: only then may the client be told.

        Raises:
            RefusedError: ROUND_MISMATCH; the round was closed meanwhile.
        """
        current = self.require_round(update.round)
        recorded = self._journal.append(Kind.UPDATE_ACCEPTED, update.to_json(), blob=data)
        durable = asyncio.wrap_future(recorded, loop=self._loop)
        durable.add_done_callback(self._recorded)
        current.accepted[update.client] = update
        current.invited.pop(update.client, None)
        if data is not None:
            current.inline[update.client] = InlineUpdate(recorded, self._room_for(data))
        self._last_round[update.client] = update.round
        self._recording[update.client] = durable
        self._tell_accepted(update)
        self._handle(events.UpdateAccepted(update.client, update.round))
        return durable

    def update_refused(self, client: str, update_id: str, error: MmarRunnerError) -> None:
        """An update was looked at and is not usable: its client has failed its task."""
        current = self.round
        if current is None or client not in current.invited:
            return
        current.refused[update_id] = error
        self._reject(current, Kind.UPDATE_REFUSED, client, error.reason, error.message)

    async def task_failed(
        self, client: str, round_number: int, attempt: int, reason: str, message: str
    ) -> None:
        """A client says that it cannot do its task; return once that is on record.

        An attempt that has failed before, or was accepted, is not counted again.

        Raises:
            RefusedError: ROUND_MISMATCH.
            StorageError: It cannot be recorded.
        """
        current = self.require_round(round_number)
        if current.invited.get(client) == attempt:
            recorded = self._reject(current, Kind.TASK_FAILED, client, reason, message)
            await asyncio.wrap_future(recorded, loop=self._loop)

    # What the world asks

    def require_round(self, number: int) -> OpenRound:
        """Return the open round, if it is that one.

        Raises:
            RefusedError: ROUND_MISMATCH.
        """
        current = self.round
        if current is None or current.closing or current.number != number:
            now = (
                "no round is open" if current is None else f"the current round is {current.number}"
            )
            msg = f"round {number} takes no updates: {now}"
            raise RefusedError(msg, reason="ROUND_MISMATCH", hint="ask for the current model")
        return current

    def already_counted(self, client: str, round_number: int) -> bool:
        """Whether an update of this client was accepted for that round."""
        return self._last_round.get(client) == round_number

    async def until_recorded(self, client: str) -> None:
        """Wait until the last update that was accepted of a client is durable.

        Raises:
            StorageError: It could not be recorded.
        """
        recording = self._recording.get(client)
        if recording is not None:
            await asyncio.shield(recording)

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
        """Wait until a round opens, a client is invited, or the run ends."""
        await self._changed.wait()

    def announce(self) -> None:
        """The run's end is on record: from now on clients are told."""
        self._announced = True
        self._notify()

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
        self._tell_waiting()

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
        opened = OpenRound(number, self._model, self._loop.time())
        if self._restored is not None:
            opened.accepted, opened.inline = self._restored.accepted, self._restored.inline
            opened.rejected = self._restored.rejected
            self._restored = None
        failures = Counter(entry["client"] for entry in opened.rejected)
        waiting = [client for client in participants if client not in opened.accepted]
        opened.invited = {client: 1 + failures[client] for client in waiting}
        self._inline_bytes = 0
        self.round = opened
        facts = {"round": number, "participants": list(participants)}
        self._journal.append(
            Kind.ROUND_OPENED, {**facts, "model_sha256": self._model.sha256}
        ).add_done_callback(self._recorded)
        self._dispatcher.emit(EventType.ROUND_STARTED, number, clients=list(participants))
        self._observe(Topic.ROUND_STARTED, num_rounds=self._num_rounds, **facts)
        self._notify()

    def _invite(self, client: str, attempt: int) -> None:
        if self.round is not None and client not in self.round.accepted:
            self.round.invited[client] = attempt
            self._notify()

    async def _close(self) -> None:
        current = self.round
        if current is None:
            return
        current.closing = True
        clients = sorted(current.accepted)
        self._dispatcher.emit(EventType.BEFORE_AGGREGATION, current.number, clients=clients)
        try:
            closed = await self._closer.close(current, self._work)
        except DiskFullError as error:
            self.interrupt(error)
            return
        except MmarRunnerError as error:
            _log.debug("round %d could not be closed", current.number, exc_info=True)
            self.fail(f"round {current.number} could not be closed: {error.message}")
            return
        self._model = closed.model
        self._handle(events.Aggregated(current.number))
        await self._closer.forget(current, closed, self._work)

    def _reject(
        self, current: OpenRound, kind: Kind, client: str, reason: str, message: str
    ) -> Future[int]:
        current.invited.pop(client, None)
        facts = {"client": client, "round": current.number, "reason": reason, "message": message}
        current.rejected.append({"client": client, "reason": f"{reason}: {message}"})
        recorded = self._journal.append(kind, facts)
        recorded.add_done_callback(self._recorded)
        self._observe(Topic.UPDATE_REFUSED, **facts)
        self._handle(events.UpdateFailed(client, current.number, f"{reason}: {message}"))
        return recorded

    def _finish(self, status: str, reason: str) -> None:
        if not self.ended.done():
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

    def _recorded(self, done: Any) -> None:
        error = done.exception()
        if isinstance(error, MmarRunnerError):
            self._loop.call_soon_threadsafe(self.interrupt, error)

    def _room_for(self, data: bytes) -> bytes | None:
        if self._inline_bytes + len(data) > _INLINE_BUDGET:
            return None
        self._inline_bytes += len(data)
        return data

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _tell_accepted(self, update: AcceptedUpdate) -> None:
        facts: dict[str, Any] = {"client": update.client, "num_samples": update.num_samples}
        metrics = {**update.metrics, **update.validation}
        self._dispatcher.emit(EventType.UPDATE_ACCEPTED, update.round, metrics=metrics, **facts)
        self._observe(
            Topic.UPDATE_ACCEPTED,
            round=update.round,
            bytes=update.bytes,
            seconds_train=update.seconds_train,
            **facts,
        )

    def _tell_waiting(self) -> None:
        if self.ended.done() or (self.round is not None and not self.round.closing):
            return
        message = self._machine.waiting_for()
        if message != self._said:
            self._said = message
            self._observe(Topic.WAITING, message=message)

    def _observe(self, topic: Topic, **data: Any) -> None:
        self._observer.observe(Observation(topic, data))
