# SPDX-License-Identifier: Apache-2.0
"""Runs a server from its settings to the end of its run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from mmar_runner import __version__
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.security.audit.log import held_open
from mmar_runner.server.assembly import assemble
from mmar_runner.server.components.building import ServerComponents
from mmar_runner.server.ending import Hurry, unless_stopped
from mmar_runner.server.file_limit import raise_file_limit
from mmar_runner.server.gate.guard import make_guard
from mmar_runner.server.goodbye import Goodbye
from mmar_runner.server.opening import open_run
from mmar_runner.server.records import losses
from mmar_runner.server.records.workspace import Workspace
from mmar_runner.server.settling import Settling
from mmar_runner.server.status.limit import WaitLimit
from mmar_runner.server.status.progress import ProgressTeller
from mmar_runner.server.status.status import StatusFile
from mmar_runner.server.trimming import trimming
from mmar_runner.wire.binding import bind, require_free
from mmar_runner.wire.server import build_server

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.parts import RunParts
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
    connections = raise_file_limit(settings.server.max_num_clients)
    components = ServerComponents(
        settings.server, plugins.registry, allowed=settings.allowed_path_prefixes
    )
    workspace = Workspace(settings.workspace, durable=settings.durable)
    digest = settings.spec.effective_digest(settings.variables, components.versions)
    with workspace.locked():
        require_free(settings.listen)  # a refused start leaves no run behind
        opening = open_run(settings, workspace, digest, components.expressions, components.versions)
        opened = await unless_stopped(opening, stop)
        try:
            with held_open(workspace.path / "audit.jsonl") as audit:
                guard = make_guard(settings, audit)
                status = StatusFile(opened.folder.status, observer)
                parts = assemble(settings, plugins, status, components, opened, guard=guard)
                run = _Run(settings, status, parts, connections, stop)
                return await run.serve(workspace)
        finally:
            opened.journal.close()


class _Run:
    """One run, from the first connection to the last goodbye."""

    def __init__(
        self,
        settings: ServerSettings,
        status: StatusFile,
        parts: RunParts,
        connections: int,
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._status = status
        self._parts = parts
        self._connections = connections
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

    async def serve(self, workspace: Workspace) -> RunOutcome:
        """Accept connections until the run has ended; then finish its files."""
        parts = self._parts
        async with AsyncExitStack() as stack:
            stopping = asyncio.create_task(self._stop_when_asked())
            stack.callback(stopping.cancel)  # last: a stop gives up what closing waits for
            stack.push_async_callback(parts.close)
            await unless_stopped(parts.events.start(), self._stop)
            server = build_server(
                parts.servicer,
                parts.guard.gate,
                discovery=parts.packages,
                max_connections=self._connections,
            )
            stack.push_async_callback(server.stop, 0)
            address = bind(server, self._settings.listen, credentials=parts.guard.credentials)
            await server.start()
            stack.enter_context(trimming())
            stack.enter_context(workspace.endpoint(address, metrics=self._settings.metrics))
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
        self._stop_for("the server was asked to stop")

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
