# SPDX-License-Identifier: Apache-2.0
"""The life of runs at a standing server: one at a time, deployed, started, stopped, over."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from mmar_runner.admin.runs.contributions import Contributions
from mmar_runner.admin.runs.open_run import OpenRun
from mmar_runner.errors import MmarRunnerError, OrderError
from mmar_runner.interfaces.server_operations import ServerStatus
from mmar_runner.orders.typed import LARGEST
from mmar_runner.server.calls.packages import Deployment, PackageDesk
from mmar_runner.server.calls.windows import download_window
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from mmar_runner.admin.runs.federation_state import FederationState, RunEntry, StateFile
    from mmar_runner.admin.runs.open_run import Premises
    from mmar_runner.admin.runs.taking_in import Intake, TakenIn
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settling import RunOutcome


class RunDesk:
    """Deploys, starts and stops runs. Used from the event loop.

    Args:
        premises: What they share.
        intake: Looks at MMARs.
        kept: What is remembered.
        ended: Hears of every run that is over, and how; None if it could not begin.
        open_run: Begins a run.
    """

    def __init__(
        self,
        premises: Premises,
        intake: Intake,
        kept: StateFile,
        ended: Callable[[RunEntry, RunOutcome | None], None],
        *,
        open_run: Callable[[Premises, TakenIn, RunFolder], OpenRun] = OpenRun,
    ) -> None:
        self._premises = premises
        self._intake = intake
        self._kept = kept
        self._ended = ended
        self._open_run = open_run
        self._taken: TakenIn | None = None
        self._taken_for: int | None = None
        self._run: OpenRun | None = None
        self._following: asyncio.Task[None] | None = None
        self._is_fresh = True
        self._none = Contributions(premises.observer)
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._reserved = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def state(self) -> FederationState:
        """What is remembered."""
        return self._kept.state

    @property
    def is_running(self) -> bool:
        """Whether a run is open, begins, or ends just now."""
        return self._run is not None and not self._run.is_over

    @property
    def status(self) -> ServerStatus:
        """What the server is at: one of four."""
        if self._run is None or self._is_fresh:
            return ServerStatus.NOT_STARTED
        if self._run.is_over:
            return ServerStatus.STOPPED
        return ServerStatus.STARTING if self._run.parts is None else ServerStatus.STARTED

    @property
    def parts(self) -> RunParts | None:
        """Of the run that clients can join; None if there is none."""
        return None if self._run is None else self._run.parts

    @property
    def contributions(self) -> Contributions:
        """Of the run that is, or was, open last."""
        return self._none if self._run is None else self._run.contributions

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

    def _meant(self, number: int | None) -> RunEntry:
        """Return the run that is set, if it still is the one that somebody meant."""
        entry = self.require_entry()
        if number is not None and entry.number != number:
            msg = f"run {number} was meant, and another is set by now"
            raise OrderError(msg, hint=f"set_run_number {number}", reason="RUN_DIFFERS")
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

    def require_room(self) -> None:
        """Refuse to remember one run more if that are too many. Blocks.

        Raises:
            OrderError: QUEUE_FULL.
        """
        self._kept.require_room()

    def choose(self, number: int) -> None:
        """Remember a run that was chosen, and make its folder. Blocks."""
        self.save()
        folder = self._premises.workspace.run(number)
        with translated(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        self._is_fresh = True

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
        if self._run is not None:
            await self._run.over(within=within)

    async def broken(self) -> None:
        """Wait for a fault in a run that nobody foresaw, and raise it."""
        await self._broken

    @property
    def outcome(self) -> RunOutcome | None:
        """How the run that was open last ended; None if it has not, or could not begin."""
        return None if self._run is None or self._is_fresh else self._run.outcome

    @property
    def changes(self) -> asyncio.Event:
        """What is set once a run has begun or ended, or the queue is to be looked at."""
        return self._changed

    def free_number(self) -> int:
        """Return a number above that of every run; if none is, the lowest that is free. Blocks."""
        there = {folder.number for folder in self._premises.workspace.runs()} | set(self.state.runs)
        above = max(there, default=0) + 1
        # What cannot be typed could neither be fetched nor started nor deleted.
        return above if above <= LARGEST else next(n for n in count(1) if n not in there)

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

    async def deploy(
        self, folder: Path, *, number: int | None = None, queued: bool = False
    ) -> TakenIn:
        """Take an MMAR for the run that is set, in place of an earlier one.

        Args:
            folder: The MMAR.
            number: The run that it is meant for; None for whichever is set.
            queued: It is whoever has reserved this who asks.

        Raises:
            OrderError: RUN_OPEN or RUN_NUMBER_UNSET; RUN_DIFFERS, the run has begun with another,
                or another run was set meanwhile.
            MmarError: It is no MMAR that can run.
            TrustError: A rule refuses it.
        """
        async with self._changing:
            if not queued:
                self.require_idle("nothing is deployed")
            entry = self._meant(number)
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

    async def start(self, *, number: int | None = None, queued: bool = False) -> RunParts:
        """Begin the run, or go on with it; return once clients can join.

        Args:
            number: The run that is meant; None for whichever is set.
            queued: It is whoever has reserved this who asks.

        Raises:
            OrderError: RUN_OPEN, RUN_NUMBER_UNSET, RUN_DIFFERS or NOT_DEPLOYED.
            MmarRunnerError: Why it cannot begin.
        """
        async with self._changing:
            if not queued:
                self.require_idle("nothing is started")
            entry = self._meant(number)
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
        run = self._run
        if run is None or run.is_over:
            raise OrderError("no run is open", hint="check_status server", reason="NO_RUN")
        if (entry := self.state.current) is not None:
            entry.started = False
            self.state.paused = True  # whoever stops a run does not want the next one instead
            await in_thread(self._kept.save)
        await run.stop(reason)

    async def close(self) -> None:
        """Stop the run with the server; whoever starts that again goes on with it."""
        if self._run is not None and self._following is not None:
            await self._run.stop("the server was asked to stop")
            await asyncio.wait({self._following})
        await self._premises.package.close()

    def _has_begun(self, entry: RunEntry) -> bool:
        return self._premises.workspace.run(entry.number).journal.exists()

    def _take_up(self, taken: TakenIn, entry: RunEntry) -> None:
        premises, spec = self._premises, taken.spec
        self._taken, self._taken_for = taken, entry.number
        self._is_fresh = True
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
        folder = self._premises.workspace.run(entry.number)
        self._run, self._is_fresh = self._open_run(self._premises, self._taken, folder), False
        self._following = asyncio.create_task(self._follow(entry, self._run))
        self._following.add_done_callback(self._note_fault)
        parts = await self._run.joinable()
        self.look_at_queue()
        return parts

    async def _follow(self, entry: RunEntry, run: OpenRun) -> None:
        """See a run to its end; one that was stopped with the server goes on with it."""
        await run.over()
        if not run.goes_on_later and entry.started:
            entry.started = False
            with suppress(MmarRunnerError):  # at worst it is started again, and is over at once
                await in_thread(self._kept.save)
        self.look_at_queue()
        run.task.result()
        self._ended(entry, run.outcome)

    def _note_fault(self, followed: asyncio.Task[None]) -> None:
        """Let a fault that nobody foresaw end the server, as it would end one of one run."""
        fault = None if followed.cancelled() else followed.exception()
        if fault is not None and not self._broken.done():
            self._broken.set_exception(fault)


def _package_file(folder: Path, digest: str) -> Path:
    """Return where an MMAR's package is made; those of earlier ones go."""
    with translated(folder):
        folder.mkdir(exist_ok=True, mode=0o700)
        for old in folder.glob("*.zip"):
            if old.stem != digest:
                old.unlink()
    return folder / f"{digest}.zip"
