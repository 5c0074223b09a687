# SPDX-License-Identifier: Apache-2.0
"""Runs a server from its settings to the end of its run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from mmar_runner import __version__
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.assembly import assemble
from mmar_runner.server.components.building import ServerComponents
from mmar_runner.server.ending import Hurry, reason_of, unless_stopped
from mmar_runner.server.file_limit import raise_file_limit
from mmar_runner.server.goodbye import Goodbye
from mmar_runner.server.opening import Wanted
from mmar_runner.server.place import OwnPlace
from mmar_runner.server.records import losses
from mmar_runner.server.records.workspace import Workspace
from mmar_runner.server.settling import Settling
from mmar_runner.server.status.limit import WaitLimit
from mmar_runner.server.status.progress import ProgressTeller
from mmar_runner.server.status.readiness import told_ready
from mmar_runner.server.status.status import StatusFile
from mmar_runner.wire.binding import require_free
from mmar_runner.wire.packing import require_compression

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.place import Place
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.settling import RunOutcome
    from mmar_runner.server.status.facts import RunFacts

#: After how long it is said that a component has not returned at the run's end, in seconds.
_SAID_AFTER_SECONDS: Final = 1.0


async def run_server(
    settings: ServerSettings, plugins: LoadedPlugins, observer: Observer, stop: asyncio.Event
) -> RunOutcome:
    """Serve one run until it has ended or ``stop`` is set.

    Raises:
        InUseError: Another process has the address or the workspace.
        UsageError: A setting cannot be met.
        RunStoppedError: It was asked to stop before the run had begun.
        MmarRunnerError: The run cannot begin.
    """
    server = settings.server
    connections = raise_file_limit(server.max_num_clients, server.clients_per_round)
    workspace = Workspace(settings.workspace, durable=settings.durable)
    with workspace.locked():
        require_free(settings.listen)  # a refused start leaves no run behind
        place = OwnPlace(settings, workspace, connections)
        return await serve_run(settings, plugins, observer, stop, place)


async def serve_run(
    settings: ServerSettings,
    plugins: LoadedPlugins,
    observer: Observer,
    stop: asyncio.Event,
    place: Place,
) -> RunOutcome:
    """Serve one run at a place until it has ended or ``stop`` is set.

    Raises:
        UsageError: A setting cannot be met.
        RunStoppedError: It was asked to stop before the run had begun.
        MmarRunnerError: The run cannot begin.
    """
    require_compression(settings.server.compression)
    components = ServerComponents(
        settings.server,
        plugins.registry,
        allowed=settings.allowed_path_prefixes,
        runs_own_code=settings.runs_own_code,
    )
    digest = settings.spec.effective_digest(settings.variables, components.versions)
    wanted = Wanted(
        digest,
        components.versions,
        components.expressions,
        components.companions,
        components.aggregator,
        components.workflow.max_staleness or 0,
    )
    opened = await unless_stopped(place.open_run(settings, wanted), stop)
    try:
        with place.guarded() as guard:
            status = StatusFile(opened.folder.status, observer)
            parts = assemble(settings, plugins, status, components, opened, guard=guard)
            return await _Run(settings, status, parts, place, stop).serve()
    finally:
        opened.journal.close()


class _Run:
    """One run, from the first connection to the last goodbye."""

    def __init__(
        self,
        settings: ServerSettings,
        status: StatusFile,
        parts: RunParts,
        place: Place,
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._status = status
        self._parts = parts
        self._place = place
        self._stop = stop
        self._progress = ProgressTeller(status)
        self._hurry = Hurry()
        self._settling = Settling(settings, parts, status, self._hurry)
        self._outcome: RunOutcome | None = None
        self._limit = WaitLimit(
            settings.server.max_wait,
            parts.coordinator,
            parts.members,
            disk=parts.disk,
            board=parts.board,
            stop=self._stop_for,
        )

    async def serve(self) -> RunOutcome:
        """Let clients in until the run has ended; then finish its files."""
        parts = self._parts
        async with AsyncExitStack() as stack:
            stopping = asyncio.create_task(self._stop_when_asked())
            stack.callback(stopping.cancel)  # last: a stop gives up what closing waits for
            stack.push_async_callback(parts.close)
            await unless_stopped(parts.events.start(), self._stop)
            address = await stack.enter_async_context(self._place.door(parts))
            stack.push_async_callback(self._status.close)
            self._tell_listening(address)
            parts.opened.journal.wait_for_space(parts.disk.note_journal)
            outcome = self._outcome = await self._run_or_conclude(stack)
            self._status.hurry()  # whoever is killed during goodbyes has ended all the same
            if outcome.status is not RunStatus.STOPPED:
                await self._say_goodbye()
            await self._let_components_return()
            return self._settling.with_late_failures(outcome)

    async def _say_goodbye(self) -> None:
        parts = self._parts
        goodbye = Goodbye(
            parts.downloads,
            parts.opened.record,
            self._status,
            self._hurry,
            lease_seconds=parts.members.lease_seconds,
        )
        if await goodbye.say():
            await goodbye.record()

    async def _let_components_return(self) -> None:
        """Wait for handlers, hooks and processors; for whom is shown while it lasts, and told."""
        loop = asyncio.get_running_loop()
        telling = loop.call_later(_SAID_AFTER_SECONDS, self._tell_who_has_not_returned)
        try:
            await self._parts.close_components()
        finally:
            telling.cancel()

    def _tell_who_has_not_returned(self) -> None:
        if unreturned := self._parts.board.unreturned():
            self._status.observe(Observation(Topic.WAITING, {"message": unreturned}))

    async def _run_or_conclude(self, stack: AsyncExitStack) -> RunOutcome:
        """Run the rounds; of a run that is over, take back its end."""
        parts = self._parts
        if parts.opened.ended:
            parts.conclude()
            self._outcome = self._settling.conclude()
            self._status.begin(self._facts)
            self._settling.tell(self._outcome, parts.opened.record.state.wall_seconds)
            return self._outcome
        parts.begin()
        stack.enter_context(told_ready(self._place.health, parts.coordinator, parts.disk))
        self._status.begin(self._facts)
        self._limit.begin()
        stack.callback(self._limit.close)
        return await self._settling.finish(*await parts.coordinator.ended)

    def _facts(self) -> RunFacts:
        """Return what ``status.json`` says."""
        board, outcome = self._parts.board, self._outcome
        if outcome is None:
            facts = board.facts()
        else:
            facts = board.ended_facts(outcome.status, outcome.reason)
        self._progress.tell(facts["clients"])
        return facts

    async def _stop_when_asked(self) -> None:
        await self._stop.wait()
        self._stop_for(reason_of(self._stop))

    def _stop_for(self, reason: str) -> None:
        """Stop the run; if it has ended, leave what is still to be settled."""
        self._parts.coordinator.stop(reason)
        self._parts.give_up()
        self._hurry.ask(reason)

    def _tell_listening(self, address: str) -> None:
        opened = self._parts.opened
        data = {
            "listen": address,
            "workspace": str(self._settings.workspace),
            "run_number": opened.folder.number,
            "resumed": opened.resumed,
            "before": opened.before,
            "ended": opened.record.state.status.value if opened.ended else "",
            "mmar": self._settings.spec.name,
            "version": __version__,
        }
        self._status.observe(Observation(Topic.LISTENING, data))
        audit = self._parts.guard.audit
        losses.tell(opened.lost, opened.folder.models, self._status, audit)
        losses.tell_updates(opened.lost_updates, self._status)
