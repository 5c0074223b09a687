# SPDX-License-Identifier: Apache-2.0
"""Carries out what the cross-site machine decides: records, files, timers, and who is told.

Everything here runs on the event loop; the matrix on the disk is what the journal adds up to,
written anew whenever something comes.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import MmarRunnerError, RefusedError, StorageError
from mmar_runner.federation import cross_site, events
from mmar_runner.federation.actions import SetTimer
from mmar_runner.federation.cross_site import BEST_MODEL, FINAL_MODEL
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.components.results import CROSS_SITE_TOPIC
from mmar_runner.server.records.cross_site_state import BestLocalModel, Validated
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.record import Kind
from mmar_runner.storage.tensor_files import sha256_file
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from mmar_runner.federation.cross_site import CrossSitePlan
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.components.results import ResultDesk
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.records.cross_site_results import CrossSiteResults
    from mmar_runner.server.records.cross_site_state import CrossSiteState
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.storage.spool import Spool

_log = logging.getLogger(__name__)

#: Where the spool puts the best local models: it knows rounds, of which there is none here.
NO_ROUND: Final = 0
#: Who takes part at most; beyond it the first by name do. Cells grow with its square.
MOST_PARTICIPANTS: Final = 256


class CrossSiteDesk:
    """Cross-site validation of one run.

    Args:
        plan: How it is done.
        record: Where what comes goes on record.
        models: The server's models.
        spool: Makes the place where clients' best local models lie while they are needed.
        matrix: The matrix on the disk.
        assignments: Tell clients that it has begun.
        results: Hands answers to the declared processor.
        observer: Told of what comes.
        waits: Told in a sentence for whom it waits once somebody has left; empty at the end.

    Attributes:
        members: Know who takes part; to be set before `run`.
    """

    members: Members

    def __init__(
        self,
        plan: CrossSitePlan,
        record: RunRecord,
        *,
        models: ModelStore,
        spool: Callable[[], Spool],
        matrix: CrossSiteResults,
        assignments: Assignments,
        results: ResultDesk,
        observer: Observer,
        waits: Callable[[str], None],
    ) -> None:
        self._waits = waits
        self._plan = plan
        self._records = record
        self._models = models
        self._make_spool = spool
        self._matrix = matrix
        self._assignments = assignments
        self._results = results
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._machine: cross_site.CrossSiteMachine | None = None
        self._files: dict[str, ModelFile] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._unwritten = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    # The phase

    @property
    def is_due(self) -> bool:
        """Whether something is to be validated now that the rounds are done."""
        known = self._records.state.cross_site
        if known is not None:
            return not known.ended
        return self._plan.enabled and bool(self.members.cross_validating())

    async def run(self, next_round: int) -> None:
        """Have every model validated by everybody, or nobody waited for any more.

        Args:
            next_round: The round that would open next: its model is the run's last result.

        Raises:
            StorageError: It cannot be put on record.
        """
        self._files = await in_thread(self._server_models, next_round)
        known = self._records.state.cross_site
        if known is None:
            self._begun(self.members.cross_validating()[:MOST_PARTICIPANTS])
        for result in self._state.results.values():
            self._spawn(self._hand_on(result))  # whoever had it already counts it once
        self._machine = await self._taken_up(self._state)
        participants = list(self._machine.participants)
        facts = {"participants": participants, "models": list(self._machine.owners)}
        self._tell(Topic.CROSS_SITE_STARTED, **facts)
        for client in sorted({*participants} - {*self.members.present()}):
            self.handle(events.ClientLeft(client, "it was not there as it began"))
        self.handle(events.Tick())
        self._assignments.validate(participants)
        try:
            await self._over.wait()
            if self._error is not None:
                raise self._error
            await self._end()
        finally:
            self._stop()

    def handle(self, event: cross_site.CrossSiteEvent) -> None:
        """Tell the machine what happened; nothing, before it has begun and once it is over."""
        machine = self._machine
        if machine is None or machine.over:
            return
        if isinstance(event, events.ClientJoined):
            self._admit(machine, event.client)
        for action in machine.handle(event, self._loop.time()):
            self._carry_out(action)
        if isinstance(event, events.ClientLeft | events.ClientJoined):
            self._waits(machine.waiting_for())
        self._notify()

    def waiting_for(self) -> str:
        """Say in one sentence what is waited for."""
        if self._machine is None:
            return "cross-site validation"
        return self._machine.waiting_for() or "cross-site validation: its end to be on record"

    def missing(self) -> tuple[str, ...]:
        """Return who is waited for, sorted."""
        return () if self._machine is None else tuple(self._machine.missing())

    @property
    def mark(self) -> int:
        """What grows with everything that comes."""
        known = self._records.state.cross_site
        return 0 if known is None else len(known.models) + len(known.results)

    # What calls ask

    def require_participant(self, client: str) -> cross_site.CrossSiteMachine:
        """Return the machine, if a client has a part in it.

        Raises:
            RefusedError: CROSS_SITE_CLOSED or NOT_A_PARTICIPANT.
        """
        machine = self._machine
        if machine is None or machine.over:
            msg = "no cross-site validation goes on now"
            raise RefusedError(
                msg, reason="CROSS_SITE_CLOSED", hint="it comes after the last round"
            )
        if client not in machine.participants:
            msg = f"{client} takes no part in this cross-site validation"
            hint = 'the client file says so by "cross_validate" and "is_participating"'
            raise RefusedError(msg, reason="NOT_A_PARTICIPANT", hint=hint)
        return machine

    def file_of(self, owner: str) -> ModelFile:
        """Return a model that is there, by its owner."""
        return self._files[owner]

    async def changed(self) -> None:
        """Wait until something has come, or is waited for no more."""
        await self._changed.wait()

    async def model_given(self, model: BestLocalModel) -> None:
        """A client's best local model lies in the spool, or it has none; return once on record.

        Raises:
            StorageError: It cannot be put on record.
        """
        machine = self.require_participant(model.client)
        if not machine.awaits_model(model.client):
            return
        if model.sha256:
            path = self.spool.path(NO_ROUND, model.client)
            file = await in_thread(ModelFile.load, path, model.sha256)
            if not machine.awaits_model(model.client):
                return
            self._files[model.client] = file
        recorded = self._note_model(model)
        event = cross_site.ModelGiven(model.client) if model.sha256 else None
        self.handle(event or cross_site.ModelLacking(model.client, model.reason))
        await asyncio.wrap_future(recorded)

    async def answered(self, result: Validated) -> None:
        """A client has answered for one model; return once that is on record.

        Raises:
            StorageError: It cannot be put on record.
        """
        recorded = self._note_result(result)
        self.handle(cross_site.CellAnswered(result.client, result.owner))
        await asyncio.wrap_future(recorded)

    # Inside

    @cached_property
    def spool(self) -> Spool:
        """Where best local models lie; made when the first thing is to lie there."""
        return self._make_spool()

    @property
    def _state(self) -> CrossSiteState:
        known = self._records.state.cross_site
        assert known is not None  # noqa: S101 - it has begun
        return known

    def _server_models(self, next_round: int) -> dict[str, ModelFile]:
        files = {FINAL_MODEL: self._models.by_id(f"round_{next_round}")}
        if self._records.state.best is not None:
            try:
                files[BEST_MODEL] = self._models.by_id("best")
            except RefusedError as error:  # the disk was full when it was to be named
                _log.warning("the best model is not validated: %s", error.message)
        return files

    def _begun(self, participants: list[str]) -> None:
        models = {o: self._files[o].sha256 for o in self._files if o in {FINAL_MODEL, BEST_MODEL}}
        self._record(Kind.CROSS_SITE_BEGUN, {"participants": participants, "models": models})

    async def _taken_up(self, known: CrossSiteState) -> cross_site.CrossSiteMachine:
        """Return a machine that knows what is on record; a lost model is asked for again."""
        there: dict[str, bool] = {}
        for client, model in known.models.items():
            file = await in_thread(self._kept, model)
            if file is not None:
                self._files[client] = file
            if file is not None or not model.sha256:
                there[client] = file is not None
        return cross_site.CrossSiteMachine(
            self._plan,
            self._loop.time(),
            participants=known.participants,
            server_models=[o for o in self._files if o in {FINAL_MODEL, BEST_MODEL}],
            models=there,
            settled=known.results.keys(),
        )

    def _kept(self, model: BestLocalModel) -> ModelFile | None:
        path = self.spool.path(NO_ROUND, model.client)
        if not model.sha256 or not path.is_file() or sha256_file(path) != model.sha256:
            return None
        return ModelFile.load(path, model.sha256)

    def _admit(self, machine: cross_site.CrossSiteMachine, client: str) -> None:
        few = len(machine.participants) < MOST_PARTICIPANTS
        if few and self.members.cross_validates(client) and machine.admit(client):
            self._begun(list(machine.participants))
            self._assignments.validate(machine.participants)

    def _carry_out(self, action: cross_site.CrossSiteAction) -> None:
        match action:
            case cross_site.ModelLacking(client, reason):
                self._note_model(BestLocalModel(client, reason=reason))
            case cross_site.CellEmpty(client, owner, reason):
                self._note_result(Validated(client, owner, reason=reason))
            case SetTimer(at):
                self._set_timer(at)
            case cross_site.ValidationOver():
                self._over.set()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self.handle, events.Tick())

    def _note_model(self, model: BestLocalModel) -> Future[int]:
        recorded = self._record(Kind.CROSS_SITE_MODEL, model.to_json())
        facts = {"client": model.client, "bytes": model.bytes, "reason": model.reason}
        self._tell(Topic.CROSS_SITE_MODEL, **facts)
        return recorded

    def _note_result(self, result: Validated) -> Future[int]:
        recorded = self._record(Kind.CROSS_SITE_RESULT, result.to_json())
        self._tell(Topic.CROSS_SITE_RESULT, **result.to_json())
        self._write_soon()
        self._spawn(self._hand_on(result))
        return recorded

    async def _hand_on(self, result: Validated) -> None:
        told = {**result.to_json(), "data_client": result.client, "model_owner": result.owner}
        try:
            await self._results.pass_on(result.client, CROSS_SITE_TOPIC, told)
        except MmarRunnerError as error:  # the matrix is kept without its help
            _log.warning("a result of cross-site validation is not processed: %s", error.message)

    def _write_soon(self) -> None:
        """Have the matrix written: once for all that comes while it is written before."""
        self._unwritten = True
        if self._writing is None or self._writing.done():
            self._writing = self._spawn(self._write())

    async def _write(self) -> None:
        """Write the matrix; a disk that has no room now is written to with the next result."""
        while self._unwritten:
            self._unwritten = False
            try:
                await in_thread(self._matrix.write, self._state.matrix())
            except StorageError as error:
                _log.warning("the cross-site matrix is not written yet: %s", error.message)

    async def _end(self) -> None:
        """Write the whole matrix, and put on record that it is whole."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await in_thread(self._matrix.write, self._state.matrix())
        await asyncio.wrap_future(self._record(Kind.CROSS_SITE_ENDED, {}))
        await in_thread(shutil.rmtree, self.spool.folder, ignore_errors=True)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waits("")
        self._notify()

    def _record(self, kind: Kind, data: Mapping[str, Any]) -> Future[int]:
        recorded = self._records.append(kind, data)
        recorded.add_done_callback(self._recorded)
        return recorded

    def _recorded(self, done: Future[int]) -> None:
        if (error := done.exception()) is not None:
            self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._over.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _tell(self, topic: Topic, **data: Any) -> None:
        self._observer.observe(Observation(topic, data))
