# SPDX-License-Identifier: Apache-2.0
"""Runs a server from its settings to the end of its run."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.errors import UsageError
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.server.assembly import RunParts, assemble
from mmar_runner.server.components import ServerComponents
from mmar_runner.server.guard import make_guard
from mmar_runner.server.opening import open_run
from mmar_runner.server.record import Kind
from mmar_runner.server.tasks import export_model
from mmar_runner.server.trimming import trimming
from mmar_runner.server.workspace import Workspace
from mmar_runner.wire.server import bind, build_server

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.settings import ServerSettings

#: How long clients may take to hear that the run has ended.
_GOODBYE_SECONDS: Final = 10.0
#: File descriptors: a connection and a spool file a client, and everything else.
_FILES_PER_CLIENT: Final = 2
_FILES_BESIDES: Final = 512
#: Connections of strangers, who hold them until the handshake's time is over.
_STRANGERS: Final = 4096


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
    connections = _raise_file_limit(settings.server.max_num_clients)
    components = ServerComponents(
        settings.server, plugins.registry, allowed=settings.allowed_path_prefixes
    )
    workspace = Workspace(settings.workspace)
    digest = settings.spec.effective_digest(settings.variables, components.versions)
    with workspace.locked():
        opened = await open_run(settings, workspace, digest, components.expressions)
        try:
            with AuditLog(workspace.path / "audit.jsonl") as audit:
                guard = make_guard(settings, audit)
                parts = assemble(settings, plugins, observer, components, opened, guard=guard)
                run = _Run(settings, observer, parts, connections)
                return await run.serve(workspace, stop)
        finally:
            opened.journal.close()


class _Run:
    """One run, from the first connection to the last goodbye."""

    def __init__(
        self, settings: ServerSettings, observer: Observer, parts: RunParts, connections: int
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._parts = parts
        self._connections = connections

    async def serve(self, workspace: Workspace, stop: asyncio.Event) -> RunOutcome:
        """Accept connections until the run has ended; then finish its files."""
        parts = self._parts
        async with AsyncExitStack() as stack:
            await parts.events.start()
            stack.push_async_callback(parts.close)
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
            stack.enter_context(workspace.endpoint(address))
            self._tell_listening(address)
            parts.begin()
            status, reason = await self._until_ended(stop)
            outcome = await self._finish(status, reason)
            if status != "stopped":
                await parts.downloads.all_told(min(_GOODBYE_SECONDS, parts.members.lease_seconds))
        return outcome

    async def _until_ended(self, stop: asyncio.Event) -> tuple[str, str]:
        coordinator = self._parts.coordinator
        waiting = asyncio.ensure_future(stop.wait())
        both: set[asyncio.Future[Any]] = {waiting, coordinator.ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not coordinator.ended.done():
            coordinator.stop("the server was asked to stop")
        return await coordinator.ended

    async def _finish(self, status: str, reason: str) -> RunOutcome:
        """Settle the run's files and put its end on record; only then is anyone told."""
        parts, opened = self._parts, self._parts.opened
        await parts.coordinator.close()
        final = await self._publish_final() if status == "finished" else None
        wall = round(asyncio.get_running_loop().time() - parts.started_at, 6)
        summary = parts.summary.write(status, reason, wall_seconds=wall, final=final)
        record = {"status": status, "reason": reason, "wall_seconds": wall}
        await asyncio.wrap_future(opened.journal.append(Kind.RUN_ENDED, record))
        parts.coordinator.announce()
        parts.events.emit(EventType.END_RUN, status=status, reason=reason)
        folder = opened.folder.path
        data = {**record, "run_folder": str(folder)}
        self._observer.observe(Observation(Topic.RUN_ENDED, data))
        return RunOutcome(status, reason, folder, summary)

    async def _publish_final(self) -> str | None:
        parts, opened = self._parts, self._parts.opened
        last = parts.coordinator.next_round - 1
        if last < self._settings.server.start_round:
            return None
        path = opened.models.publish(last + 1, "final")
        await export_model(self._settings, opened.folder, path)
        return "models/final.safetensors"

    def _tell_listening(self, address: str) -> None:
        opened = self._parts.opened
        data = {
            "listen": address,
            "workspace": str(self._settings.workspace),
            "run_number": opened.folder.number,
            "resumed": opened.resumed,
            "before": opened.before,
            "mmar": self._settings.spec.name,
            "version": __version__,
        }
        self._observer.observe(Observation(Topic.LISTENING, data))


def _raise_file_limit(max_num_clients: int) -> int:
    """Allow so many connections and files, or say how many there may be.

    Returns:
        How many connections there may be at once: what remains of the files is the run's.

    Raises:
        UsageError: FILE_LIMIT.
    """
    needed = max_num_clients * _FILES_PER_CLIENT + _FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounded = hard != resource.RLIM_INFINITY
    if bounded and needed > hard:
        most = max((hard - _FILES_BESIDES) // _FILES_PER_CLIENT, 0)
        msg = f"max_num_clients is {max_num_clients}, but the limit of open files is {hard}"
        hint = f"set max_num_clients to at most {most}, or raise the limit (ulimit -Hn)"
        raise UsageError(msg, hint=hint, reason="FILE_LIMIT")
    wanted = min(needed + _STRANGERS, hard) if bounded else needed + _STRANGERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - needed + max_num_clients
