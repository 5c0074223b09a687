# SPDX-License-Identifier: Apache-2.0
"""The life of runs at a standing server: one at a time, deployed, started, stopped, over."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmar_runner.admin.contributions import Contributions
from mmar_runner.admin.place import StandingPlace
from mmar_runner.errors import MmarRunnerError, OrderError, RunStoppedError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.server_operations import ServerStatus
from mmar_runner.server.calls.packages import Deployment, PackageDesk
from mmar_runner.server.calls.windows import download_window
from mmar_runner.server.gate.names import CertifiedNames
from mmar_runner.server.records.replay import closed_rounds
from mmar_runner.server.run import serve_run
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from mmar_runner.admin.current_run import CurrentRun
    from mmar_runner.admin.federation_state import FederationState, RunEntry, StateFile
    from mmar_runner.admin.packages import CurrentPackage
    from mmar_runner.admin.taking_in import Intake, TakenIn
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.workspace import RunFolder, Workspace
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.settling import RunOutcome

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Premises:
    """What every run of a standing server shares.

    Attributes:
        workspace: Locked by this process.
        plugins: In force.
        observer: Sees what happens in runs.
        guard: At the clients' port.
        current: What clients see of the run that is open.
        package: What clients are given that have no MMAR.
        address: Where clients come in.
        like: Settings of every run; MMAR and trust are each run's own.
    """

    workspace: Workspace
    plugins: LoadedPlugins
    observer: Observer
    guard: Guard
    current: CurrentRun
    package: CurrentPackage
    address: str
    like: Callable[[TakenIn], ServerSettings]


class RunDesk:
    """Deploys, starts and stops runs. Used from the event loop.

    Args:
        premises: What they share.
        intake: Looks at MMARs.
        kept: What is remembered.
        ended: Hears of every run that is over, and how; None if it could not begin.

    Attributes:
        status: One of four.
        parts: Of the run that clients can join; None if there is none.
        contributions: Of the run that is, or was, open last.
    """

    def __init__(
        self,
        premises: Premises,
        intake: Intake,
        kept: StateFile,
        ended: Callable[[RunEntry, RunOutcome | None], None],
    ) -> None:
        self._premises = premises
        self._intake = intake
        self._kept = kept
        self._ended = ended
        self._taken: TakenIn | None = None
        self._taken_for: int | None = None
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._reason = ""
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._reserved = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = ServerStatus.NOT_STARTED
        self.parts: RunParts | None = None
        self.contributions = Contributions(premises.observer)
        self.outcome: RunOutcome | None = None
        self.failure: MmarRunnerError | None = None

    @property
    def state(self) -> FederationState:
        """What is remembered."""
        return self._kept.state

    @property
    def is_running(self) -> bool:
        """Whether a run is open, begins, or ends just now."""
        return self._running is not None and not self._running.done()

    @property
    def taken(self) -> TakenIn | None:
        """The MMAR that is deployed for the run that is set, as far as it was looked at."""
        return self._taken if self._taken_for == self.state.run_number else None

    @property
    def folder(self) -> RunFolder | None:
        """The folder of the run that is set."""
        number = self.state.run_number
        return None if number is None else self._premises.workspace.run(number)

    def require_idle(self, what: str) -> None:
        """Refuse what cannot be done while a run is open.

        Raises:
            OrderError: RUN_OPEN.
        """
        if self.is_running:
            msg = f"{what} while run {self.state.run_number} is open"
            hint = "wait until it has ended, or stop it with `abort server`"
            raise OrderError(msg, hint=hint, reason="RUN_OPEN")
        if self._reserved:
            msg = f"{what} while the next run of the queue is being started"
            raise OrderError(msg, hint="try again a little later", reason="RUN_OPEN")

    def require_entry(self) -> RunEntry:
        """Return the run that is set.

        Raises:
            OrderError: RUN_NUMBER_UNSET.
        """
        if (entry := self.state.current) is None:
            msg = "no run number is set"
            raise OrderError(msg, hint="set one: set_run_number N", reason="RUN_NUMBER_UNSET")
        return entry

    def require_parts(self) -> RunParts:
        """Return the parts of the run that is open.

        Raises:
            OrderError: NO_RUN.
        """
        if self.parts is None:
            raise OrderError("no run is open", hint="start server", reason="NO_RUN")
        return self.parts

    def past(self) -> dict[str, Any] | None:
        """Return how the run that is set ended, or stands, as its summary says; None without.

        Its keys are those of ``status.json``, as far as they mean something of a run that is over.
        """
        if (folder := self.folder) is None:
            return None
        try:
            summary = json.loads(folder.summary.read_bytes())
            rounds = [one["round"] for one in summary["rounds"]]
        except (OSError, ValueError, TypeError, KeyError):
            return None  # it has not begun, or nobody can tell
        spec = None if self.taken is None else self.taken.spec.server
        return {
            "status": summary["status"],
            "reason": summary["reason"],
            "run_number": folder.number,
            "round": rounds[-1] if rounds else None,
            "num_rounds": None if spec is None else spec.num_rounds,
            "waiting_for": "",
            "clients": [],
            **{key: summary.get(key) for key in ("best_round", "final_model", "wall_seconds")},
        }

    def save(self) -> None:
        """Write what is remembered to the disk. Blocks."""
        self._kept.save()

    def choose(self, number: int) -> None:
        """Remember a run that was chosen, and make its folder. Blocks."""
        self.save()
        folder = self._premises.workspace.run(number)
        with translated(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        self.status = ServerStatus.NOT_STARTED
        self.outcome = None

    def release(self, number: int) -> None:
        """Let a run's number be free again if nothing was deployed for it. Blocks."""
        entry = self.state.runs.get(number)
        if entry is not None and not self._has_begun(entry):
            del self.state.runs[number]
            if self.state.run_number == number:
                self.state.run_number = None
            with suppress(OSError):  # something lies in it: it stays
                self._premises.workspace.run(number).path.rmdir()
        self.save()

    async def ended(self, *, within: float | None = None) -> None:
        """Wait until no run is open, or for so many seconds."""
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=within)

    async def broken(self) -> None:
        """Wait for a fault in a run that nobody foresaw, and raise it."""
        await self._broken

    @property
    def changes(self) -> asyncio.Event:
        """What is set once a run has begun or ended, or the queue is to be looked at."""
        return self._changed

    def free_number(self) -> int:
        """Return a number above that of every run. Blocks."""
        there = [folder.number for folder in self._premises.workspace.runs()]
        return max((0, *there, *self.state.runs)) + 1

    def look_at_queue(self) -> None:
        """Let whoever begins runs that wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @asynccontextmanager
    async def reserved(self) -> AsyncIterator[bool]:
        """Keep everybody else from choosing, deploying or starting for the block.

        Yields:
            Whether that can be: no run is open.
        """
        async with self._changing:
            free = not self.is_running
            self._reserved = free
        try:
            yield free
        finally:
            self._reserved = False

    async def deploy(self, folder: Path, *, queued: bool = False) -> TakenIn:
        """Take an MMAR for the run that is set, in place of an earlier one.

        Args:
            folder: The MMAR.
            queued: It is whoever has reserved this who asks.

        Raises:
            OrderError: RUN_OPEN or RUN_NUMBER_UNSET; RUN_DIFFERS, the run has begun with another.
            MmarError: It is no MMAR that can run.
            TrustError: A rule refuses it.
        """
        async with self._changing:
            if not queued:
                self.require_idle("nothing is deployed")
            entry = self.require_entry()
            taken = await in_thread(self._intake.take, folder)
            if entry.digest and entry.digest != taken.digest and self._has_begun(entry):
                msg = f"run {entry.number} has begun with another MMAR ({entry.mmar})"
                hint = "set_run_number to a new number first"
                raise OrderError(msg, hint=hint, reason="RUN_DIFFERS")
            entry.mmar, entry.digest, entry.started = folder.name, taken.digest, False
            entry.clients.clear()
            if not queued:
                entry.order, entry.targets = "", []
            await in_thread(self._kept.save)
            self._take_up(taken, entry)
            return taken

    async def start(self, *, queued: bool = False) -> RunParts:
        """Begin the run, or go on with it; return once clients can join.

        Args:
            queued: It is whoever has reserved this who asks.

        Raises:
            OrderError: RUN_OPEN, RUN_NUMBER_UNSET or NOT_DEPLOYED.
            MmarRunnerError: Why it cannot begin.
        """
        async with self._changing:
            if not queued:
                self.require_idle("nothing is started")
            entry = self.require_entry()
            if not entry.digest:
                msg = f"nothing is deployed at the server for run {entry.number}"
                raise OrderError(msg, hint="deploy MMAR server", reason="NOT_DEPLOYED")
            if self.taken is None:
                copy = self._premises.workspace.path / "store" / entry.digest / entry.mmar
                self._take_up(await in_thread(self._intake.take, copy), entry)
            entry.started = True
            await in_thread(self._kept.save)
            return await self._begin(entry)

    async def stop(self, reason: str) -> None:
        """Stop the run that is open, so that it can be started again.

        Raises:
            OrderError: NO_RUN, none is open.
        """
        if not self.is_running or self._running is None:
            raise OrderError("no run is open", hint="check_status server", reason="NO_RUN")
        self._reason = reason
        if (entry := self.state.current) is not None:
            entry.started = False
            self.state.paused = True  # whoever stops a run does not want the next one instead
            await in_thread(self._kept.save)
        self._stop.set()
        await asyncio.wait({self._running})

    async def close(self) -> None:
        """Stop the run with the server; whoever starts that again goes on with it."""
        self._stop.set()
        if self._running is not None:
            await asyncio.wait({self._running})
        await self._premises.package.close()

    def _has_begun(self, entry: RunEntry) -> bool:
        return self._premises.workspace.run(entry.number).journal.exists()

    def _take_up(self, taken: TakenIn, entry: RunEntry) -> None:
        premises, spec = self._premises, taken.spec
        self._taken, self._taken_for = taken, entry.number
        self.status, self.outcome = ServerStatus.NOT_STARTED, None
        needed = 0 if spec.server is None else spec.server.min_num_clients
        package = _package_file(premises.workspace.path / "packages", taken.digest)
        deployment = Deployment(spec.root, taken.digest, package, taken.trust.decisions, needed)
        premises.package.offer(
            PackageDesk(
                deployment, premises.observer, premises.guard.audit, window=download_window()
            )
        )

    async def _begin(self, entry: RunEntry) -> RunParts:
        assert self._taken is not None  # noqa: S101 - `start` saw to it
        self._stop, self.status, self.failure = asyncio.Event(), ServerStatus.STARTING, None
        joinable: asyncio.Future[RunParts] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._serve(entry, self._taken, joinable))
        self._running.add_done_callback(lambda _: self.look_at_queue())
        self._running.add_done_callback(self._note_fault)
        both: set[asyncio.Future[Any]] = {self._running, joinable}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if joinable.done():
            return joinable.result()
        if self.failure is not None:
            raise self.failure
        msg = "the run ended before clients could join"
        raise RunStoppedError(msg)

    async def _serve(
        self, entry: RunEntry, taken: TakenIn, joinable: asyncio.Future[RunParts]
    ) -> None:
        premises = self._premises
        counted = Contributions(premises.observer)

        def joined(parts: RunParts) -> None:
            state, events = parts.opened.record.state, parts.opened.journal.events()
            counted.take_up(closed_rounds(events), state.round, state.accepted)
            self.parts, self.contributions, self.status = parts, counted, ServerStatus.STARTED
            joinable.set_result(parts)
            self.look_at_queue()

        names = CertifiedNames(taken.trust.decisions.keys(), taken.trust.decisions)
        place = StandingPlace(
            folder=premises.workspace.run(entry.number),
            guard=replace(premises.guard, names=names),
            current=premises.current,
            address=premises.address,
            joinable=joined,
        )
        settings = premises.like(taken)
        try:
            self.outcome = await serve_run(settings, premises.plugins, counted, self._stop, place)
        except MmarRunnerError as error:
            _log.info("run %d could not go on", entry.number, exc_info=error)
            self.failure, self.outcome = error, None
        finally:
            self.parts, self.status = None, ServerStatus.STOPPED
        await self._note_end(entry)

    def _note_fault(self, running: asyncio.Task[None]) -> None:
        """Let a fault that nobody foresaw end the server, as it would end one of one run."""
        fault = None if running.cancelled() else running.exception()
        if fault is not None and not self._broken.done():
            self._broken.set_exception(fault)

    async def _note_end(self, entry: RunEntry) -> None:
        """Remember that a run is over; one that was stopped with the server goes on with it."""
        over = self.outcome is None or self.outcome.status is not RunStatus.STOPPED
        if over and entry.started:
            entry.started = False
            with suppress(MmarRunnerError):  # at worst it is started again, and is over at once
                await in_thread(self._kept.save)
        self._ended(entry, self.outcome)


def _package_file(folder: Path, digest: str) -> Path:
    """Return where an MMAR's package is made; those of earlier ones go."""
    with translated(folder):
        folder.mkdir(exist_ok=True, mode=0o700)
        for old in folder.glob("*.zip"):
            if old.stem != digest:
                old.unlink()
    return folder / f"{digest}.zip"
