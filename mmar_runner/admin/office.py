# SPDX-License-Identifier: Apache-2.0
"""A server that waits to be told: its ports, its rooms, and its life from start to end."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.admin.clients.current_run import CurrentRun
from mmar_runner.admin.clients.hub import RequestHub
from mmar_runner.admin.clients.packages import CurrentPackage
from mmar_runner.admin.entrance.access import Access
from mmar_runner.admin.entrance.gate import AdminGate
from mmar_runner.admin.entrance.sessions import IDLE_SECONDS, Sessions
from mmar_runner.admin.files.transfers import Transfers
from mmar_runner.admin.leaving import Leaving
from mmar_runner.admin.modules.built_in import BUILT_IN_MODULES
from mmar_runner.admin.modules.installed import installed_modules
from mmar_runner.admin.modules.offer import Offer
from mmar_runner.admin.operations import Operations
from mmar_runner.admin.runs.federation_state import StateFile
from mmar_runner.admin.runs.handing_on import HandingOn
from mmar_runner.admin.runs.open_run import Premises
from mmar_runner.admin.runs.run_desk import RunDesk
from mmar_runner.admin.runs.run_queue import RunQueue
from mmar_runner.admin.runs.taking_in import Intake, OfficeLog
from mmar_runner.admin.servicer import AdminDesk
from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.orders.memory import OrderMemory
from mmar_runner.security.audit.log import held_open
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.pki.followed import Revocations
from mmar_runner.security.policy.authorization import SERVER_SITE
from mmar_runner.server.file_limit import raise_file_limit
from mmar_runner.server.gate.certificate_gate import CertificateGate
from mmar_runner.server.gate.guard import Guard
from mmar_runner.server.gate.names import CertifiedNames
from mmar_runner.server.records.workspace import Workspace
from mmar_runner.server.settings import ServerSettings
from mmar_runner.server.trimming import trimming
from mmar_runner.storage.durability import Durability
from mmar_runner.waiting.races import end, first_of
from mmar_runner.wire.binding import bind, require_free
from mmar_runner.wire.credentials import TlsFiles, server_credentials
from mmar_runner.wire.health import Health
from mmar_runner.wire.methods import ADMIN, FEDERATED_TRAINING
from mmar_runner.wire.server import build_admin_server, build_server

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    import grpc

    from mmar_runner.admin.runs.federation_state import RunEntry
    from mmar_runner.admin.runs.taking_in import TakenIn
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.server.settling import RunOutcome

_log = logging.getLogger(__name__)

#: Connections of administrators, and of strangers who try.
_ADMIN_CONNECTIONS: Final = 256
#: How long answers that are under way may still take at the end, in seconds.
_ANSWER_SECONDS: Final = 1.0
#: How often it is looked at again who may be there, in seconds.
_LOOK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class OfficeSettings:
    """What a standing server is started with.

    Attributes:
        kit: Its start-up kit.
        workspace: The folder of everything that it keeps.
        listen: Where clients come in, ``host:port``.
        admin_listen: Where administrators do.
        max_clients: How many clients there may be.
        idle_seconds: How long a session lives that nobody uses.
        keep_models: How many of the newest round models stay; None keeps all.
        durability: Whether receipts wait for the disk.
        variables: The ``--set`` values, for every run.
        plugins_dir: A folder of one-file plugins, for children.
        metrics: Where this process serves metrics, ``host:port``; None if nowhere.
    """

    kit: StartupKit
    workspace: Path
    listen: str
    admin_listen: str
    max_clients: int = 100
    idle_seconds: float = IDLE_SECONDS
    keep_models: int | None = 2
    durability: Durability = Durability.FULL
    variables: Mapping[str, Any] = field(default_factory=dict)
    plugins_dir: Path | None = None
    metrics: str | None = None


@dataclass(frozen=True, slots=True)
class OfficeOutcome:
    """How a standing server ended.

    Attributes:
        reason: Why.
        again: Whether it is to execute its own command again.
    """

    reason: str
    again: bool = False


async def run_office(
    settings: OfficeSettings, plugins: LoadedPlugins, observer: Observer, stop: asyncio.Event
) -> OfficeOutcome:
    """Stand until an administrator ends it or ``stop`` is set.

    A run that was open when an earlier process ended goes on by itself.

    Raises:
        InUseError: Another process has an address or the workspace.
        UsageError: A setting or a policy cannot be used.
        StorageError: What is remembered cannot be read.
    """
    connections = raise_file_limit(2 * settings.max_clients)  # a run's, and one for requests
    workspace = Workspace(settings.workspace, durable=settings.durability is Durability.FULL)
    with workspace.locked():
        require_free(settings.listen)
        require_free(settings.admin_listen)
        with held_open(workspace.path / "audit.jsonl") as audit:
            office = _Office(settings, plugins, observer, workspace, audit)
            return await office.stand(stop, connections)


class _Office:
    """One standing server."""

    def __init__(
        self,
        settings: OfficeSettings,
        plugins: LoadedPlugins,
        observer: Observer,
        workspace: Workspace,
        audit: AuditLog,
    ) -> None:
        kit = settings.kit
        self._settings, self._plugins, self._observer = settings, plugins, observer
        self._workspace, self._audit = workspace, audit
        self._revocations = Revocations(kit.revocations, kit.revocation_memory())
        self._access = Access(kit)
        self._gate = CertificateGate(kit.identity.project, self._revocations, audit)
        self._admin_gate = AdminGate(kit.identity.project, self._revocations, audit)
        self._current, self._package, self._leaving = CurrentRun(), CurrentPackage(), Leaving()
        self._hub = RequestHub(self._participants, audit, self._revocations)
        self._kept = StateFile(workspace.path)
        self._health = Health(FEDERATED_TRAINING, ADMIN)

    async def stand(self, stop: asyncio.Event, connections: int) -> OfficeOutcome:
        """Accept clients and administrators until it is over."""
        settings = self._settings
        tls = TlsFiles(settings.kit.cert_file, settings.kit.key_file, settings.kit.root_file)
        credentials = server_credentials(tls)
        clients = build_server(
            self._current,
            self._gate,
            discovery=self._package,
            requests=self._hub,
            health=self._health,
            max_connections=connections,
        )
        async with AsyncExitStack() as stack:
            address = bind(clients, settings.listen, credentials=credentials)
            desk = self._run_desk(address, credentials)
            transfers = self._transfers()
            stack.push_async_callback(clients.stop, _ANSWER_SECONDS)
            stack.callback(self._hub.close)
            admin = build_admin_server(
                self._admin_desk(desk, transfers),
                self._admin_gate,
                health=self._health,
                max_connections=_ADMIN_CONNECTIONS,
            )
            stack.push_async_callback(admin.stop, _ANSWER_SECONDS)
            admin_address = bind(admin, settings.admin_listen, credentials=server_credentials(tls))
            stack.push_async_callback(desk.close)
            await clients.start()
            await admin.start()
            self._health.set(ADMIN, serving=True)
            stack.enter_context(trimming())
            stack.enter_context(
                self._workspace.endpoint(address, admin=admin_address, metrics=settings.metrics)
            )
            looking = asyncio.create_task(self._look_again())
            stack.callback(looking.cancel)
            self._tell_listening(address, admin_address)
            await self._go_on(desk)
            for work in self._queue(desk, transfers):
                stack.push_async_callback(end, asyncio.create_task(work))
            stack.callback(self._health.close)  # first: whoever asks hears that it ends
            await first_of(_set(stop), _set(self._leaving.asked), desk.broken())
        return OfficeOutcome(self._leaving.reason or "it was asked to stop", self._leaving.again)

    def _run_desk(self, address: str, credentials: grpc.ServerCredentials) -> RunDesk:
        guard = Guard(
            self._gate, CertifiedNames((), {}), self._audit, credentials, self._revocations
        )
        premises = Premises(
            self._workspace,
            self._plugins,
            self._observer,
            guard,
            self._current,
            self._package,
            address,
            self._health,
            self._settings_of,
        )
        return RunDesk(premises, self._intake(), self._kept, self._ended)

    def _intake(self) -> Intake:
        store = MmarStore(self._workspace.path / "store")
        settings, identity = self._settings, self._settings.kit.identity
        log = OfficeLog(self._audit, f"{identity.role} {identity.name}")
        return Intake(settings.kit, self._plugins.registry, store, log, settings.variables)

    def _transfers(self) -> Transfers:
        kit = self._settings.kit
        storage = next(iter(kit.config["servers"])).get("admin_storage", "transfer")
        folder = self._workspace.path / storage
        return Transfers(
            folder,
            self._access,
            look=self._intake().look_only,
            workspace=self._workspace.path,
            runs=lambda: self._kept.state.runs,
        )

    def _queue(
        self, desk: RunDesk, transfers: Transfers
    ) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
        queue = RunQueue(desk, transfers, self._access, self._settings.kit, self._revocations)
        return queue.work(), HandingOn(desk, self._hub).work()

    def _admin_desk(self, desk: RunDesk, transfers: Transfers) -> AdminDesk:
        kit = self._settings.kit
        operations = Operations(
            desk,
            self._hub,
            self._access,
            transfers=transfers,
            workspace=self._workspace,
            leaving=self._leaving,
        )
        return AdminDesk(
            kit,
            self._admin_gate,
            self._access,
            Sessions(self._settings.idle_seconds),
            offer=Offer([*(module() for module in BUILT_IN_MODULES), *self._installed()]),
            operations=operations,
            transfers=transfers,
            revocations=self._revocations,
            memory=OrderMemory(),
            leaving=self._leaving,
            audit=self._audit,
        )

    def _installed(self) -> list[AdminCmdModule]:
        return installed_modules(self._plugins.registry, self._access.policy.admin.get("modules"))

    def _settings_of(self, taken: TakenIn) -> ServerSettings:
        settings = self._settings
        return ServerSettings(
            spec=taken.spec,
            workspace=self._workspace.path,
            listen=settings.listen,
            keep_models=settings.keep_models,
            durability=settings.durability,
            variables=settings.variables,
            plugins_dir=settings.plugins_dir,
            trust=taken.trust,
            pinned=settings.kit.pinned if settings.kit.assigns_clients else None,
        )

    async def _go_on(self, desk: RunDesk) -> None:
        """Go on with the run that was open when an earlier process ended."""
        entry = self._kept.state.current
        if entry is None or not entry.started:
            return
        try:
            await desk.start()
        except MmarRunnerError as error:
            if desk.outcome is not None or error.reason == "RUN_ENDED":
                return  # it was over: only that had not been written down
            _log.warning("run %d does not go on: %s", entry.number, error.message)
            self._kept.state.paused = True  # whoever starts it, or the queue, has looked at it

    def _ended(self, entry: RunEntry, outcome: RunOutcome | None) -> None:
        how = "could not go on" if outcome is None else f"has {outcome.status}"
        _log.info("run %d %s", entry.number, how)

    async def _look_again(self) -> None:
        """Look now and then at who may still be there."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                self._revocations.refresh()
                for gate in (self._gate, self._admin_gate):
                    gate.expel(gate.verdict)
            except MmarRunnerError as error:  # nobody called who could be told
                _log.error("what was revoked cannot be looked at: %s", error.message)

    def _participants(self) -> list[str]:
        return [site for site in self._access.authorization.sites if site != SERVER_SITE]

    def _tell_listening(self, address: str, admin: str) -> None:
        facts = {"listen": address, "admin": admin, "workspace": str(self._workspace.path)}
        self._observer.observe(Observation(Topic.STANDING, {**facts, "pid": os.getpid()}))


async def _set(event: asyncio.Event) -> None:
    await event.wait()
