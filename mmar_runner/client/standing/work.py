# SPDX-License-Identifier: Apache-2.0
"""What is deployed at a standing client, and the session that works for it."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admission.admitting import admit
from mmar_runner.admission.rules import rules_of
from mmar_runner.client.delivery.fetching import Delivery, fetch_mmar
from mmar_runner.client.files.workspace import ClientWorkspace
from mmar_runner.client.session import run_session
from mmar_runner.client.standing.seen import Seen
from mmar_runner.client.standing.state import StandingState
from mmar_runner.client.tasks.parallel import with_processes
from mmar_runner.errors import MmarRunnerError, OrderError
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.client.session import SessionOutcome
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.standing.settings import StandingSettings
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.orders.naming import NamedMmar

_log = logging.getLogger(__name__)

#: How long the session for a run that is over may take to hear so, in seconds.
MAKE_WAY_SECONDS: Final = 20.0


class StandingWork:
    """Deploys, starts and stops. Used from the event loop.

    Args:
        settings: Of the client.
        plugins: In force.
        observer: Sees what happens.
    """

    def __init__(
        self, settings: StandingSettings, plugins: LoadedPlugins, observer: Observer
    ) -> None:
        self._settings = settings
        self._plugins = plugins
        self.seen = Seen(observer)
        self.state = StandingState.read(settings.workspace)
        self._admitted: tuple[Admission, SiteRules] | None = None
        self._session: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._changing = asyncio.Lock()
        self.outcome: SessionOutcome | None = None
        self.failure: MmarRunnerError | None = None

    @property
    def is_working(self) -> bool:
        """Whether a session works for a run."""
        return self._session is not None and not self._session.done()

    def facts(self) -> dict[str, Any]:
        """Return what this client is at."""
        state, seen = self.state, self.seen
        message = self.failure.message if self.failure else ""
        if self.outcome is not None and not self.is_working:
            message = f"the run has {self.outcome.status}; {self.outcome.reason}".rstrip("; ")
        return {
            "state": seen.state if self.is_working else "idle",
            "working": self.is_working,
            "mmar": state.mmar or None,
            "digest": state.digest or None,
            "run_number": state.run_number or None,
            "round": seen.round if self.is_working else None,
            "since": seen.since,
            "message": message or seen.message,
        }

    async def deploy(self, meant: NamedMmar, run_number: int) -> dict[str, Any]:
        """Fetch the MMAR that the server deploys, and keep it if this site accepts it.

        Args:
            meant: Which it must be: so the order said.
            run_number: For which run.

        Raises:
            OrderError: WORKING, a session works for another; MMAR_DIFFERS, it is another than
                the one that is meant, or the order does not say which.
            MmarRunnerError: Why this site does not take it.
        """
        async with self._changing:
            self._require_idle("nothing is deployed")
            if not meant.digest:  # a server could give any that bears the name
                msg = f"the order does not say which MMAR of the name {meant.name} is meant"
                hint = "the console writes NAME@DIGEST; is it of an older version?"
                raise OrderError(msg, reason="MMAR_DIFFERS", hint=hint)
            trust, settings = self._settings.trust, self._settings
            rules = await in_thread(rules_of, trust.kit)
            delivery = Delivery(
                trust,
                rules,
                settings.workspace,
                settings.name,
                settings.variables,
                settings.connect_timeout,
            )
            admission = await fetch_mmar(
                delivery, self._plugins.registry, self.seen, asyncio.Event()
            )
            if admission.root.name != meant.name:
                msg = f"the server gave {admission.root.name}, and {meant.name} was ordered"
                raise OrderError(msg, reason="MMAR_DIFFERS", hint="deploy it at the server first")
            meant.require(admission.digest, whose="the server gave")
            self._admitted, self.outcome, self.failure = (admission, rules), None, None
            self.state = StandingState(meant.name, admission.digest, run_number)
            await in_thread(self.state.save, settings.workspace)
            message = f"accepted {meant.name}"
            return {"mmar": meant.name, "digest": admission.digest, "message": message}

    async def make_way(self, run_number: int) -> None:
        """Let the session for another run end: the server, which serves one, has gone on."""
        session = self._session
        if session is None or not self.is_working or self.state.run_number == run_number:
            return
        await asyncio.wait({session}, timeout=MAKE_WAY_SECONDS)
        if self.is_working:
            await self.abort()

    async def start(
        self, run_number: object = None, *, processes: int | None = None
    ) -> dict[str, Any]:
        """Begin to work for what is deployed, or go on with it.

        Args:
            run_number: Which run the server has in mind; None if it has none.
            processes: In how many the trainer is to work, or None if the order does not say.

        Raises:
            OrderError: WORKING or NOT_DEPLOYED.
            UsageError: NOT_PARALLEL or TOO_MANY_PROCESSES.
            MmarRunnerError: Why it cannot be run any more.
        """
        async with self._changing:
            self._require_idle("nothing is started")
            self._require_deployed(run_number)
            settings = await self._begin(processes)
            several = f" in {settings.processes} processes" if settings.launcher else ""
            return {"message": f"works for run {self.state.run_number}{several}"}

    async def go_on(self) -> None:
        """Go on with what an earlier process was in the middle of."""
        if not self.state.started:
            return
        try:
            async with self._changing:
                await self._begin(self.state.processes)
        except MmarRunnerError as error:
            self.failure = error
            _log.warning("%s is not gone on with: %s", self.state.mmar, error.message)

    async def abort(self) -> dict[str, Any]:
        """Stop working; what was begun is gone on with if it is started again."""
        if not self.is_working or self._session is None:
            return {"message": "it was not at work"}
        self.state.started = False
        await in_thread(self.state.save, self._settings.workspace)
        self._stop.set()
        await asyncio.wait({self._session})
        return {"message": f"stopped working for run {self.state.run_number}"}

    async def delete_run(self, number: int) -> dict[str, Any]:
        """Delete a run's files at this client.

        Raises:
            OrderError: WORKING, it is the run that is worked for.
        """
        if number == self.state.run_number:
            self._require_idle("its files are not deleted")
        folder = self._settings.workspace / f"run_{number}"
        with translated(folder):
            if folder.exists():
                await in_thread(shutil.rmtree, folder)
        return {"message": f"run {number} is deleted"}

    async def close(self) -> None:
        """Stop with the client; whoever starts it again goes on."""
        self._stop.set()
        if self._session is not None:
            await asyncio.wait({self._session})

    def _require_idle(self, what: str) -> None:
        if self.is_working:
            msg = f"{what} while this client works for run {self.state.run_number}"
            raise OrderError(msg, hint="abort client NAME first", reason="WORKING")

    def _require_deployed(self, run_number: object) -> None:
        """Refuse to work for nothing, and for another run than the one that is meant."""
        there, msg = self.state, "nothing is deployed at this client"
        if there.digest and run_number in (None, there.run_number):
            return
        if there.digest:
            msg += f" for run {run_number}: it has {there.mmar} for run {there.run_number}"
        raise OrderError(msg, hint="deploy MMAR client", reason="NOT_DEPLOYED")

    async def _begin(self, processes: int | None) -> SessionSettings:
        admitted = self._admitted
        if admitted is None:
            admitted = await in_thread(self._admit_again)
        self._admitted = admitted
        settings = replace(self._settings.session(admitted), run_number=self.state.run_number)
        if processes is not None:
            settings = replace(settings, processes=processes)
        settings = await with_processes(settings, self._plugins.registry)
        self.state.started, self.state.processes = True, processes
        await in_thread(self.state.save, self._settings.workspace)
        self._stop, self.outcome, self.failure = asyncio.Event(), None, None
        self._session = asyncio.create_task(self._work(settings))
        return settings

    def _admit_again(self) -> tuple[Admission, SiteRules]:
        """Look once more at the copy that an earlier process accepted: rules may have changed."""
        settings = self._settings
        rules = rules_of(settings.trust.kit)
        store = settings.workspace / "store"
        admission = admit(
            store / self.state.digest / self.state.mmar,
            self._plugins.registry,
            rules,
            MmarStore(store),
            origin="delivered",
            now=datetime.now(UTC),
            settings=settings.variables,
            client_name=settings.name,
        )
        admission.decision.require()
        return admission, rules

    async def _work(self, settings: SessionSettings) -> None:
        try:
            self.outcome = await run_session(settings, self._plugins, self.seen, self._stop)
        except MmarRunnerError as error:
            _log.info("the session ended", exc_info=error)
            self.failure = error
            if error.reason == "CLIENT_REMOVED":
                # Not by itself, but if somebody orders it to start again, it is let in again.
                await in_thread(ClientWorkspace(settings.workspace).renew_session_key)
        if not self._stop.is_set():  # the run is over; one that was stopped may go on
            self.state.started = False
            await in_thread(self.state.save, self._settings.workspace)
