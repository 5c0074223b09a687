# SPDX-License-Identifier: Apache-2.0
"""Runs a server from its settings to the end of its run."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.errors import UsageError
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.best import BestModel
from mmar_runner.server.closing import RoundCloser
from mmar_runner.server.components import ServerComponents
from mmar_runner.server.coordinator import Coordinator
from mmar_runner.server.downloads import Downloads
from mmar_runner.server.events import EventDispatcher
from mmar_runner.server.members import Members
from mmar_runner.server.opening import OpenedRun, open_run
from mmar_runner.server.reception import Reception
from mmar_runner.server.record import Kind
from mmar_runner.server.registry import ClientRegistry
from mmar_runner.server.results import ResultDesk
from mmar_runner.server.servicer import Servicer
from mmar_runner.server.summary import Summary
from mmar_runner.server.tasks import ServerValidator, export_model
from mmar_runner.server.workspace import Workspace
from mmar_runner.storage.spool import Spool
from mmar_runner.wire.messages import RegisterReply
from mmar_runner.wire.server import bind, build_server

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.settings import ServerSettings

#: A client that is silent for so long is taken for dead, unless the MMAR says less.
_LEASE_SECONDS: Final = 30.0
#: How long clients may take to hear that the run has ended.
_GOODBYE_SECONDS: Final = 10.0
#: File descriptors: a connection and a spool file a client, and everything else.
_FILES_PER_CLIENT: Final = 2
_FILES_BESIDES: Final = 512


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        status: ``finished``, ``failed`` or ``stopped``.
        reason: Why, if it did not finish.
        run_folder: Where its files lie.
        summary: What ``summary.json`` says.
    """

    status: str
    reason: str
    run_folder: Path
    summary: dict[str, Any]


async def run_server(
    settings: ServerSettings, plugins: LoadedPlugins, observer: Observer, stop: asyncio.Event
) -> RunOutcome:
    """Serve one run until it has ended or ``stop`` is set.

    Raises:
        UsageError: The address or the workspace is in use, or a setting cannot be met.
        MmarRunnerError: The run cannot begin.
    """
    _raise_file_limit(settings.server.max_num_clients)
    components = ServerComponents(settings.server, plugins.registry)
    workspace = Workspace(settings.workspace)
    digest = settings.spec.effective_digest(settings.variables, components.versions)
    with workspace.locked():
        opened = await open_run(settings, workspace, digest)
        try:
            run = _Run(settings, plugins, observer, components, opened)
            return await run.serve(workspace, stop)
        finally:
            opened.journal.close()


class _Run:
    """All parts of one run, put together."""

    def __init__(
        self,
        settings: ServerSettings,
        plugins: LoadedPlugins,
        observer: Observer,
        components: ServerComponents,
        opened: OpenedRun,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._opened = opened
        self._started_at = asyncio.get_running_loop().time() - opened.state.wall_seconds
        server, folder, journal = settings.server, opened.folder, opened.journal
        self._summary = self._make_summary()
        self._events = EventDispatcher(components.handlers, plugins, folder)
        self._results = ResultDesk(components.processors, folder)
        self._validator = (
            None
            if server.model_validator is None or not server.validate_every
            else ServerValidator(settings, folder, server.model_validator)
        )
        self._spool = spool = Spool(folder.updates)
        best = BestModel(
            components.selector, start_round=server.start_round, best=opened.state.best
        )
        closer = RoundCloser(
            settings,
            folder,
            components.aggregator,
            journal,
            spool,
            opened.models,
            best,
            self._summary,
            self._events,
            observer,
            self._validator,
            self._started_at,
        )
        self._coordinator = Coordinator(
            self._machine(components.workflow),
            opened.model,
            journal=journal,
            closer=closer,
            dispatcher=self._events,
            observer=observer,
            num_rounds=server.num_rounds,
            last_round=opened.state.last_round,
        )
        lease = min(server.heart_beat_timeout, _LEASE_SECONDS)
        registry = ClientRegistry(max_clients=server.max_num_clients, lease_seconds=lease)
        self._members = Members(
            registry, self._coordinator, journal, observer, task_name=server.task_name
        )
        self._downloads = Downloads(self._coordinator, self._members, opened.models)
        self._reception = Reception(
            self._coordinator,
            self._members,
            spool,
            opened.schema,
            durability=settings.durability,
            run_number=folder.number,
        )

    async def serve(self, workspace: Workspace, stop: asyncio.Event) -> RunOutcome:
        """Accept connections until the run has ended; then finish its files."""
        async with AsyncExitStack() as stack:
            await self._events.start()
            stack.push_async_callback(self._close)
            server = build_server(self._servicer())
            address = bind(server, self._settings.listen)
            await server.start()
            stack.push_async_callback(server.stop, 0)
            stack.enter_context(workspace.endpoint(address))
            self._listening(address)
            self._restore()
            status, reason = await self._until_ended(stop)
            outcome = await self._finish(status, reason)
            if status != "stopped":
                await self._downloads.all_told(min(_GOODBYE_SECONDS, self._members.lease_seconds))
        return outcome

    async def _until_ended(self, stop: asyncio.Event) -> tuple[str, str]:
        waiting = asyncio.ensure_future(stop.wait())
        both: set[asyncio.Future[Any]] = {waiting, self._coordinator.ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._coordinator.ended.done():
            self._coordinator.stop("the server was asked to stop")
        return await self._coordinator.ended

    def _machine(self, workflow: Any) -> RoundMachine:
        server = self._settings.server
        plan = RunPlan(
            start_round=server.start_round,
            num_rounds=server.num_rounds,
            min_num_clients=server.min_num_clients,
            max_num_clients=server.max_num_clients,
            wait_after_min_clients=server.wait_after_min_clients,
            clients_per_round=server.clients_per_round,
            round_deadline=server.round_deadline,
            seed=self._opened.state.seed,
            expected_clients=self._settings.expected_clients,
        )
        state = self._opened.state
        return RoundMachine(
            plan,
            workflow,
            first_round=state.round,
            accepted=state.accepted.keys(),
            active=state.clients.keys(),
            participants=state.participants,
            failures=Counter(entry["client"] for entry in state.rejected),
        )

    def _restore(self) -> None:
        state = self._opened.state
        self._spool.keep_only([state.round])
        if state.accepted or state.rejected:
            self._coordinator.restore(state.accepted.values(), state.rejected)
        self._members.restore(state.clients.values())
        self._members.start_sweeping()
        self._coordinator.begin()

    def _servicer(self) -> Servicer:
        opened, server = self._opened, self._settings.server
        welcome = RegisterReply(
            run_number=opened.folder.number,
            seed=opened.state.seed,
            num_rounds=server.num_rounds,
            start_round=server.start_round,
            server_mmar_digest=self._settings.spec.digest,
        )
        return Servicer(
            welcome,
            coordinator=self._coordinator,
            members=self._members,
            downloads=self._downloads,
            reception=self._reception,
            results=self._results,
        )

    def _make_summary(self) -> Summary:
        state, spec = self._opened.state, self._settings.spec
        summary = Summary(self._opened.folder, name=spec.name, digest=spec.digest)
        summary.rounds.extend(state.rounds)
        if state.best is not None:
            summary.set_best(state.best[0])
        summary.write("running", "", wall_seconds=state.wall_seconds)
        return summary

    def _listening(self, address: str) -> None:
        data = {
            "listen": address,
            "workspace": str(self._settings.workspace),
            "run_number": self._opened.folder.number,
            "resumed": self._opened.resumed,
            "mmar": self._settings.spec.name,
            "version": __version__,
        }
        self._observer.observe(Observation(Topic.LISTENING, data))

    async def _finish(self, status: str, reason: str) -> RunOutcome:
        """Settle the run's files, then tell; clients hear of the end meanwhile."""
        await self._coordinator.close()
        final = await self._publish_final() if status == "finished" else None
        wall = asyncio.get_running_loop().time() - self._started_at
        summary = self._summary.write(status, reason, wall_seconds=wall, final=final)
        record = {"status": status, "reason": reason, "wall_seconds": round(wall, 6)}
        await asyncio.wrap_future(self._opened.journal.append(Kind.RUN_ENDED, record))
        self._coordinator.announce()
        self._events.emit(EventType.END_RUN, status=status, reason=reason)
        folder = self._opened.folder.path
        data = {**record, "run_folder": str(folder)}
        self._observer.observe(Observation(Topic.RUN_ENDED, data))
        return RunOutcome(status, reason, folder, summary)

    async def _publish_final(self) -> str | None:
        if not self._summary.rounds:
            return None
        last = self._summary.rounds[-1]["round"]
        path = self._opened.models.publish(last + 1, "final")
        await export_model(self._settings, self._opened.folder, path)
        return "models/final.safetensors"

    async def _close(self) -> None:
        self._members.close()
        await self._reception.close()
        await self._results.close()
        self._spool.close()
        self._opened.models.close()
        if self._validator is not None:
            await self._validator.close()
        await self._events.close()


def _raise_file_limit(max_num_clients: int) -> None:
    needed = max_num_clients * _FILES_PER_CLIENT + _FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        most = max((hard - _FILES_BESIDES) // _FILES_PER_CLIENT, 0)
        msg = f"max_num_clients is {max_num_clients}, but the limit of open files is {hard}"
        hint = f"set max_num_clients to at most {most}, or raise the limit (ulimit -Hn)"
        raise UsageError(msg, hint=hint, reason="FILE_LIMIT")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
