# SPDX-License-Identifier: Apache-2.0
"""Runs a server from its settings to the end of its run."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.documents.words import counted
from mmar_runner.errors import AuditError, RunStoppedError, StorageError, UsageError
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.security.audit.log import held_open
from mmar_runner.server import losses
from mmar_runner.server.assembly import RunParts, assemble
from mmar_runner.server.components import ServerComponents
from mmar_runner.server.ending import unless_stopped
from mmar_runner.server.guard import make_guard
from mmar_runner.server.limit import WaitLimit
from mmar_runner.server.opening import open_run
from mmar_runner.server.progress import ProgressTeller
from mmar_runner.server.record import Kind
from mmar_runner.server.status import StatusFile
from mmar_runner.server.tasks import export_model
from mmar_runner.server.trimming import trimming
from mmar_runner.server.workspace import Workspace
from mmar_runner.storage.durability import Durability
from mmar_runner.wire.binding import bind, require_free
from mmar_runner.wire.server import build_server

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.settings import ServerSettings

_log = logging.getLogger(__name__)

#: How long the settling of a run that has ended may still take once the server is to stop.
_SETTLE_SECONDS: Final = 3.0
#: How long clients may take to hear that the run has ended.
_GOODBYE_SECONDS: Final = 10.0
#: After how long it is said that somebody has not heard of it yet.
_SAID_AFTER_SECONDS: Final = 1.0
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
        RunStoppedError: It was asked to stop before the run had begun.
        MmarRunnerError: The run cannot begin.
    """
    connections = _raise_file_limit(settings.server.max_num_clients)
    components = ServerComponents(
        settings.server, plugins.registry, allowed=settings.allowed_path_prefixes
    )
    workspace = Workspace(settings.workspace, durable=settings.durability is Durability.FULL)
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
        self._hurry = asyncio.Event()
        self._why = ""
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
            stack.enter_context(workspace.endpoint(address))
            stack.push_async_callback(self._status.close)
            self._tell_listening(address)
            parts.opened.journal.wait_for_space(parts.disk.note_journal)
            outcome = self._outcome = await self._run_or_conclude(stack)
            self._status.hurry()  # whoever is killed during goodbyes has ended all the same
            if outcome.status != "stopped" and await self._say_goodbye():
                await self._record_settled()
        return outcome

    async def _run_or_conclude(self, stack: AsyncExitStack) -> RunOutcome:
        """Run the rounds; of a run that is over, take back its end."""
        parts = self._parts
        if parts.opened.ended:
            parts.conclude()
            self._outcome = self._concluded()
            self._status.begin(self._facts)
            return self._tell_ended(self._outcome, parts.opened.state.wall_seconds)
        parts.begin()
        self._status.begin(self._facts)
        self._limit.begin()
        stack.callback(self._limit.close)
        return await self._finish(*await parts.coordinator.ended)

    def _concluded(self) -> RunOutcome:
        """Return how an earlier process ended the run; its summary is written if it is gone."""
        opened, state = self._parts.opened, self._parts.opened.state
        try:
            summary = json.loads(opened.folder.summary.read_bytes())
            if summary["status"] == state.status:
                return RunOutcome(state.status, state.reason, opened.folder.path, summary)
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("%s is written anew: %s", opened.folder.summary, error)
        final = opened.folder.models / "final.safetensors"
        named = f"models/{final.name}" if final.exists() else None
        said: dict[str, Any] = {"wall_seconds": state.wall_seconds, "final": named}
        try:
            summary = self._parts.summary.write(state.status, state.reason, **said)
        except StorageError as error:
            _log.warning("the summary is not written: %s", error.message)
            summary = self._parts.summary.facts(state.status, state.reason, **said)
        return RunOutcome(state.status, state.reason, opened.folder.path, summary)

    def _facts(self) -> dict[str, Any]:
        """Return what ``status.json`` says."""
        facts, outcome = self._parts.board.facts(), self._outcome
        self._progress.tell(facts["clients"])
        if outcome is None:
            return facts
        return facts | {
            "status": outcome.status,
            "reason": outcome.reason,
            "waiting_for": "",
            "since": None,
            "missing": [],
        }

    async def _stop_when_asked(self) -> None:
        await self._stop.wait()
        self._stop_for("the server was asked to stop")

    def _stop_for(self, reason: str) -> None:
        """Stop the run; if it has ended, leave what is still to be settled."""
        self._parts.coordinator.stop(reason)
        self._parts.give_up()
        self._hurry.set()
        self._why = reason

    async def _finish(self, status: str, reason: str) -> RunOutcome:
        """Settle the run's files; if the server is to stop before that is done, it is stopped."""
        if status == "stopped":
            self._parts.give_up()
            await self._parts.coordinator.close()
            return await self._settle_stopped(reason)
        try:
            settling = self._settle(status, reason)
            return await unless_stopped(settling, self._hurry, grace=_SETTLE_SECONDS)
        except (StorageError, AuditError, RunStoppedError) as error:
            if not self._hurry.is_set():
                raise
            _log.warning("the run's end is not settled yet: %s", error.message)
            return await self._settle_stopped(self._why)

    async def _settle(self, status: str, reason: str) -> RunOutcome:
        """Settle the run's files and put its end on record; only then is anyone told."""
        parts, keep_trying = self._parts, self._parts.disk.keep_trying
        await parts.coordinator.close()
        final = None
        if status == "finished":
            final = await keep_trying("final", self._publish_final)
        await keep_trying("audit", partial(asyncio.to_thread, parts.guard.audit.flush))
        wall = self._wall_seconds()

        async def write() -> dict[str, Any]:
            parts.opened.models.settle()
            return parts.summary.write(status, reason, wall_seconds=wall, final=final)

        summary = await keep_trying("summary", write)
        await self._record_end(status, reason, wall)
        parts.coordinator.announce()
        return self._tell_ended(RunOutcome(status, reason, parts.opened.folder.path, summary), wall)

    async def _settle_stopped(self, reason: str) -> RunOutcome:
        """Put on record that the run was stopped, if the disk takes it: it is not needed."""
        parts, wall = self._parts, self._wall_seconds()
        try:
            await self._record_end("stopped", reason, wall)
        except StorageError as error:
            _log.warning("that the run was stopped is not on record: %s", error.message)
        summary = parts.summary.facts("stopped", reason, wall_seconds=wall)
        try:
            parts.summary.write("stopped", reason, wall_seconds=wall)
        except StorageError as error:
            _log.warning("the summary says nothing of it: %s", error.message)
        if parts.coordinator.ended.result()[0] == "stopped":
            parts.coordinator.announce()
        return self._tell_ended(
            RunOutcome("stopped", reason, parts.opened.folder.path, summary), wall
        )

    async def _record_end(self, status: str, reason: str, wall: float) -> None:
        record = {"status": status, "reason": reason, "wall_seconds": wall}
        await asyncio.wrap_future(self._parts.opened.journal.append(Kind.RUN_ENDED, record))

    def _tell_ended(self, outcome: RunOutcome, wall: float) -> RunOutcome:
        facts: dict[str, Any] = {"status": outcome.status, "reason": outcome.reason}
        self._parts.events.emit(EventType.END_RUN, **facts)
        data = {**facts, "wall_seconds": wall, "run_folder": str(outcome.run_folder)}
        self._status.observe(Observation(Topic.RUN_ENDED, data))
        return outcome

    async def _publish_final(self) -> str | None:
        parts, opened = self._parts, self._parts.opened
        last = parts.coordinator.next_round - 1
        if last < self._settings.server.start_round:
            return None
        path = opened.models.publish(last + 1, "final")
        await export_model(self._settings, opened.folder, path)
        with suppress(OSError):  # it is no matter if one more than asked for stays
            opened.models.discard_older(last + 1, finished=True)
        return "models/final.safetensors"

    async def _say_goodbye(self) -> bool:
        """Give clients the time to hear that the run has ended.

        Returns:
            False if it was cut short: whoever starts the server again serves the end once more.
        """
        with suppress(RunStoppedError):
            await unless_stopped(self._wait_for_goodbyes(), self._hurry)
            return True
        return not self._parts.downloads.untold()

    async def _wait_for_goodbyes(self) -> None:
        downloads = self._parts.downloads
        seconds = min(_GOODBYE_SECONDS, self._parts.members.lease_seconds)
        await downloads.all_told(first := min(_SAID_AFTER_SECONDS, seconds))
        if untold := downloads.untold():
            message = f"up to {seconds:g} s for {counted(len(untold), 'client')} to hear of the end"
            self._status.observe(Observation(Topic.WAITING, {"message": message}))
            await downloads.all_told(seconds - first)

    async def _record_settled(self) -> None:
        """Put on record that nobody waits to be told; a full disk is not waited for."""
        journal, untold = self._parts.opened.journal, self._parts.downloads.untold()
        journal.hurry()
        try:
            await asyncio.wrap_future(journal.append(Kind.RUN_SETTLED, {"untold": untold}))
        except StorageError as error:
            _log.warning("the next start says once more how the run ended: %s", error.message)

    def _wall_seconds(self) -> float:
        return round(asyncio.get_running_loop().time() - self._parts.started_at, 6)

    def _tell_listening(self, address: str) -> None:
        opened = self._parts.opened
        data = {
            "listen": address,
            "workspace": str(self._settings.workspace),
            "run_number": opened.folder.number,
            "resumed": opened.resumed,
            "before": opened.before,
            "ended": opened.state.status if opened.ended else "",
            "mmar": self._settings.spec.name,
            "version": __version__,
        }
        self._status.observe(Observation(Topic.LISTENING, data))
        audit = self._parts.guard.audit
        losses.tell(opened.lost, opened.folder.models, self._status, audit)
        losses.tell_updates(opened.lost_updates, self._status)


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
