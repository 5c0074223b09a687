# SPDX-License-Identifier: Apache-2.0
"""The session: the whole life of a client, from joining a run to leaving it.

Read on in this order: `registration` (who we are to the server), `rounds` (a task
after the other), `downloads`, `local_work`, `submission`, `uploads`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.client.connection.connection import Connection
from mmar_runner.client.connection.heartbeat import Heartbeat
from mmar_runner.client.connection.registration import RunReplacedError
from mmar_runner.client.files.workspace import ClientWorkspace
from mmar_runner.client.rounds import ClientRounds
from mmar_runner.client.tasks.component_specs import check_components
from mmar_runner.client.tasks.local_work import LocalWork
from mmar_runner.client.tasks.parallel import with_processes
from mmar_runner.client.tasks.tally import Tally
from mmar_runner.client.tasks.training import OwnChildren
from mmar_runner.client.transfer.downloads import RunEnded
from mmar_runner.client.transfer.exchanges import Exchanges
from mmar_runner.errors import (
    CertificateError,
    DiskFullError,
    NotAuthorizedError,
    RefusedError,
    SignatureError,
)
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.races import first_of, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.tasks.training import TrainerHosts
    from mmar_runner.client.tasks.work import Work, WorkFactory
    from mmar_runner.hooks.manager import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.messages import RegisterReply

#: How often a new run's folder is tried again that the disk had no space for, in seconds.
_DISK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """How a session ended.

    Attributes:
        status: Finished, failed or stopped.
        reason: Why, in a sentence; empty if all rounds were done.
        run_number: The run it worked for; 0 if it never got as far.
        run_folder: Where its files lie, or None.
        tasks: How many of its tasks succeeded and failed, and why the last one failed.
    """

    status: RunStatus
    reason: str
    run_number: int = 0
    run_folder: Path | None = None
    tasks: Mapping[str, Any] = field(default_factory=dict)


async def run_session(
    settings: SessionSettings,
    plugins: LoadedPlugins,
    observer: Observer,
    stop: asyncio.Event,
    *,
    children: TrainerHosts | None = None,
    work: WorkFactory | None = None,
) -> SessionOutcome:
    """Join a run and work for it until it is over, or until told to stop.

    Args:
        settings: What the session is started with.
        plugins: The plugins in force; the components must be among them.
        observer: Sees what happens.
        stop: Once set, the session leaves and ends its children.
        children: Where trainers live; None gives the client a child of its own. Only that one
            works in several processes.
        work: Does the tasks; None has the MMAR's trainer and filters do them. Nothing that the
            MMAR declares for clients is looked at otherwise.

    Raises:
        PluginError: A component is not installed.
        UsageError: NOT_PARALLEL or TOO_MANY_PROCESSES, see `with_processes`.
        RefusedError: The server does not want this client, or its name is taken.
        CertificateError: TLS does not come about, and waiting will not mend it.
        SignatureError: DIGEST_REVOKED, the MMAR was revoked during the run.
        NotAuthorizedError: BYOC_NOT_ALLOWED, its code may not run here; DIGEST_BLOCKED, the
            site itself blocked it during the run.
        UnreachableError: Nobody answered within the time given by the settings.
        AuditError: An event cannot be written down.
        StorageError: The client's folder cannot be used.
    """
    if work is None:
        check_components(settings, plugins.registry)
        if children is None:
            settings = await with_processes(settings, plugins.registry)
    workspace = ClientWorkspace(settings.workspace, durable=settings.durable, spare=settings.spare)
    folder = workspace.held_above() if settings.held_above else workspace.locked(settings.name)
    with folder:
        connection = Connection(settings, workspace.session_key(), observer)
        tally = Tally(observer)
        hosts = children or OwnChildren()
        session = _Session(settings, workspace, connection, tally, hosts, factory=work)
        try:
            return await first_of(session.work(), _stopped(stop)) or await session.leave()
        except (RefusedError, CertificateError, SignatureError, NotAuthorizedError) as error:
            if settings.trust is not None:
                settings.trust.refused(error)
            if isinstance(error, (SignatureError, NotAuthorizedError)):
                # It is about the MMAR, not the server, which need not wait for a lease to end.
                await connection.quit(error.message)
            raise
        finally:
            await connection.close()


class _Session:
    def __init__(
        self,
        settings: SessionSettings,
        workspace: ClientWorkspace,
        connection: Connection,
        observer: Tally,
        hosts: TrainerHosts,
        *,
        factory: WorkFactory | None,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._connection = connection
        self._observer = observer
        self._hosts = hosts
        self._factory = factory
        self._begun = time.monotonic()
        self._run_number = 0
        self._run_folder: Path | None = None

    async def work(self) -> SessionOutcome:
        """Join, and work for the run that is there until it is over."""
        await self._connection.register()
        while True:
            try:
                ended = await self._one_run()
            except RunReplacedError:
                continue
            return self._outcome(ended)

    async def leave(self) -> SessionOutcome:
        """Leave because the session was told to stop."""
        ended = RunEnded(RunStatus.STOPPED, "the session was told to stop")
        await self._connection.quit(ended.reason)
        return self._outcome(ended)

    async def _one_run(self) -> RunEnded:
        registration = self._connection.registration
        only = self._settings.run_number
        if only is not None and registration.run_number != only:
            await self._connection.quit(f"it works for run {only}")
            reason = f"the server works on run {registration.run_number}, and not on run {only}"
            return RunEnded(RunStatus.STOPPED, reason)
        files = await self._run_files(registration.run_number, registration.run_id)
        self._run_number, self._run_folder = files.number, files.folder
        work = self._work(files, registration)
        heartbeat = Heartbeat(self._connection, self._settings, work.below)
        rounds = ClientRounds(self._connection, files, work, heartbeat, self._observer)
        work.prepare()
        try:
            digest = self._settings.work_digest
            ended = await first_of(rounds.walk(mmar_digest=digest), heartbeat.run())
            # The server said why; each of its clients need not say it again.
            well = ended.status is RunStatus.FINISHED
            said = ended.status.value if well else f"the run has {ended.status}"
            await self._connection.quit(said)
            return ended
        finally:
            await uninterrupted(work.close())

    def _work(self, files: RunFiles, registration: RegisterReply) -> Work:
        if self._factory is not None:
            return self._factory(files, registration)
        exchanges = Exchanges(self._connection, files.number)
        return LocalWork(self._settings, files, registration, self._hosts, exchanges.carry)

    async def _run_files(self, number: int, run_id: str) -> RunFiles:
        """Return a run's files; a full disk ends a session that begins, and none that goes on."""
        while True:
            try:
                return self._workspace.run(number, run_id)
            except DiskFullError as error:
                if self._run_folder is None:
                    raise
                facts = {"message": f"{error.message} [{error.reason}]; trying again"}
                self._observer.observe(Observation(Topic.WAITING, facts))
            await asyncio.sleep(_DISK_SECONDS)

    def _outcome(self, ended: RunEnded) -> SessionOutcome:
        facts = {
            "status": ended.status.value,
            "reason": ended.reason,
            "run_folder": None if self._run_folder is None else str(self._run_folder),
            "wall_seconds": time.monotonic() - self._begun,
            "tasks": (tasks := self._observer.facts()),
        }
        self._observer.observe(Observation(Topic.RUN_ENDED, facts))
        number, folder = self._run_number, self._run_folder
        return SessionOutcome(ended.status, ended.reason, number, folder, tasks)


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()
