# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of one run together and introduces them to each other."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DiskFullError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.exchange import ExchangeHandler
from mmar_runner.security.tokens import TokenMint, workspace_secret
from mmar_runner.server.calls.discovery import Discovery
from mmar_runner.server.calls.downloads import Downloads
from mmar_runner.server.calls.packages import Deployment, PackageDesk
from mmar_runner.server.calls.reception import Reception
from mmar_runner.server.calls.servicer import Servicer
from mmar_runner.server.calls.soundness import Soundness
from mmar_runner.server.calls.windows import download_window
from mmar_runner.server.components.building import update_codec
from mmar_runner.server.components.results import ResultDesk
from mmar_runner.server.components.validator import ServerValidator
from mmar_runner.server.cross_site.best_models import BestModels
from mmar_runner.server.cross_site.desk import CrossSiteDesk
from mmar_runner.server.cross_site.models_out import ModelsToValidate
from mmar_runner.server.members.members import Members
from mmar_runner.server.members.refusals import LateRefusals
from mmar_runner.server.members.registry import HEARTBEATS_PER_SECOND, ClientRegistry
from mmar_runner.server.members.watch import Watch
from mmar_runner.server.parts import RunParts
from mmar_runner.server.records.cross_site_results import CrossSiteResults
from mmar_runner.server.records.replay import closed_rounds
from mmar_runner.server.records.summary import Summary
from mmar_runner.server.records.update_bytes import UpdateBytes
from mmar_runner.server.round_parts import (
    make_aggregation,
    make_bounds,
    make_buffers,
    make_combining,
    make_machine,
)
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.best import BestModel, NobodysBest
from mmar_runner.server.rounds.closing import RoundCloser
from mmar_runner.server.rounds.coordinator import Coordinator
from mmar_runner.server.rounds.exchange_desk import ExchangeDesk
from mmar_runner.server.rounds.outliers import OutlierWatch
from mmar_runner.server.status.board import Board
from mmar_runner.server.telling.events import EventDispatcher
from mmar_runner.server.telling.failures import FailureDesk
from mmar_runner.server.telling.reporter import Reporter
from mmar_runner.server.telling.space import DiskWait
from mmar_runner.server.tree_parts import make_controller, make_tree, run_number, sites_of
from mmar_runner.storage.codec_names import NONE
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.spool import Spool
from mmar_runner.wire.messages import RegisterReply

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.server.components.building import ServerComponents
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.members.tree import Tree
    from mmar_runner.server.opening import OpenedRun
    from mmar_runner.server.settings import ServerSettings

_log = logging.getLogger(__name__)

#: A client that is silent for so long is taken for dead, unless the MMAR says less.
_LEASE_SECONDS: Final = 30.0


def assemble(
    settings: ServerSettings,
    plugins: LoadedPlugins,
    observer: Observer,
    components: ServerComponents,
    opened: OpenedRun,
    *,
    guard: Guard,
) -> RunParts:
    """Make the parts of a run and introduce them to each other."""
    server, folder, journal = settings.server, opened.folder, opened.journal
    started_at = asyncio.get_running_loop().time() - opened.record.state.wall_seconds
    summary = _summary(settings, opened)
    failures = FailureDesk(opened.record, observer, folder.logs)
    handlers = list(zip((s.label for s in server.handlers), components.handlers, strict=True))
    dispatcher = EventDispatcher(handlers, plugins, folder, failures.note)
    tree = make_tree(settings, components, opened)
    number = run_number(settings, opened)
    sites = sites_of(settings, tree)
    machine = make_machine(settings, components, opened, sites)
    results = ResultDesk(
        components.processors, folder, newest_round=lambda: machine.round, note=failures.note
    )
    validator = _validator(settings, opened)
    spool = Spool(folder.updates, durable=settings.durable)
    codec = CODECS[update_codec(server.update_codec, components.aggregator)]
    updates = UpdateBytes(folder.updates, journal, codec)
    reporter = Reporter(dispatcher, observer, num_rounds=server.num_rounds)
    disk = DiskWait(reporter.disk_full)
    aggregation = make_aggregation(settings, components, opened, updates, sites=sites)
    assignments = Assignments()
    lease = min(server.heart_beat_timeout, _LEASE_SECONDS)
    registry = ClientRegistry(
        max_clients=server.max_num_clients,
        lease_seconds=lease,
        longest_lease=server.heart_beat_timeout,
        heartbeats_per_second=settings.heartbeats_per_second or HEARTBEATS_PER_SECOND,
        expected=settings.expected_clients or 0,
        sites=sites,
    )
    rule = components.aggregator
    exchange = ExchangeDesk(
        rule if isinstance(rule, ExchangeHandler) else None,
        folder.path / "exchange.json",
        assignments,
        context=aggregation.contexts.of,
        minimum=lambda: machine.minimum,
        present=registry.present,
        wait=settings.server.wait_after_min_clients,
    )
    combining = make_combining(
        settings, components, opened, aggregation, reporter.waiting, sites=sites
    )
    closer = RoundCloser(
        settings=settings,
        aggregation=aggregation,
        record=opened.record,
        spool=spool,
        models=opened.models,
        best=_best(settings, components, failures),
        summary=summary,
        dispatcher=dispatcher,
        observer=observer,
        validator=validator,
        started_at=started_at,
        disk=disk,
        max_staleness=components.workflow.max_staleness or 0,
        exchange=exchange,
        combining=combining,
        outliers=OutlierWatch(aggregation=aggregation, record=opened.record, observer=observer),
    )
    desk = CrossSiteDesk(
        server.cross_site,
        opened.record,
        models=opened.models,
        spool=lambda: Spool(folder.best_local, durable=settings.durable),
        matrix=CrossSiteResults(folder),
        assignments=assignments,
        results=results,
        observer=observer,
        waits=partial(reporter.waiting, for_clients=True),
    )
    coordinator = Coordinator(
        machine,
        opened.model,
        assignments=assignments,
        record=opened.record,
        updates=updates,
        closer=closer,
        reporter=reporter,
        note_refusal=LateRefusals(guard.audit, registry, sites).record_refusal,
        disk=disk,
        spool=spool,
        bounds=make_bounds(settings, components, sites),
        after=desk,
        buffers=make_buffers(components, opened, assignments),
    )
    members = _members(
        settings, opened, coordinator, observer, guard, registry=registry, tree=tree, number=number
    )
    controller = make_controller(
        tree, opened, members, coordinator, observer=observer, guard=guard, sites=sites
    )
    desk.members = members
    reporter.expect(sites, members.present)
    board = Board(
        coordinator,
        members,
        disk,
        (dispatcher, results),
        sites=sites,
        run_number=folder.number,
        num_rounds=server.num_rounds,
        declined=lambda: reporter.who_declined,
        failed=opened.record.state.components_failed,
        outliers=opened.record.state.outliers,
        aggregation=lambda: opened.record.state.aggregation,
    )
    soundness = Soundness(opened.models, assignments, coordinator.interrupt)
    window = download_window()
    downloads = Downloads(
        assignments,
        members,
        opened.models,
        soundness,
        window=window,
        packed=server.compression != NONE,
        **({} if controller is None else {"expected": controller.told}),
    )
    reception = Reception(
        coordinator.answers,
        members,
        spool,
        opened.schema,
        codec=codec,
        packed=server.compression != NONE,
        durable=settings.durable,
        run_number=number,
        sample_rule=server.max_num_samples,
        sites=sites,
        exchange=exchange,
        rule=None if tree.obstacle else rule,
        **({} if controller is None else {"check_sites": controller.check}),
    )
    best_models = BestModels(
        desk,
        members,
        opened.schema,
        durable=settings.durable,
        run_number=number,
        packed=server.compression != NONE,
    )
    servicer = Servicer(
        _welcome(settings, opened, codec.name, number),
        assignments=assignments,
        members=members,
        downloads=downloads,
        reception=reception,
        results=results,
        best_models=best_models,
        to_validate=ModelsToValidate(
            desk, members, opened.models, window=window, run_number=number
        ),
        exchange=exchange,
        revocations=guard.revocations,
    )
    packages = _packages(settings, opened, observer, guard, reporter, window=window)
    return RunParts(
        opened,
        started_at,
        summary,
        dispatcher,
        results,
        validator,
        spool,
        coordinator,
        disk,
        board,
        members,
        downloads,
        reception,
        best_models,
        servicer,
        guard,
        Watch(
            guard,
            members,
            lease_seconds=lease,
            digest=settings.spec.digest,
            end=coordinator.fail,
        ),
        packages,
        Discovery(packages, controller, digest=settings.spec.digest),
        controller,
        components.workflow.max_staleness or 0,
        combining,
        settings.upstream,
    )


def _packages(
    settings: ServerSettings,
    opened: OpenedRun,
    observer: Observer,
    guard: Guard,
    reporter: Reporter,
    *,
    window: SharedWindow,
) -> PackageDesk | None:
    """Return who gives the MMAR to clients; only those with certificates can be given it."""
    if settings.trust is None:
        return None
    deployment = Deployment(
        settings.spec.root,
        settings.spec.digest,
        opened.folder.path / "mmar.zip",
        settings.trust.decisions,
        max(settings.server.min_num_clients, settings.expected_clients or 0),
    )
    return PackageDesk(deployment, observer, guard.audit, reporter.declined, window=window)


def _members(
    settings: ServerSettings,
    opened: OpenedRun,
    coordinator: Coordinator,
    observer: Observer,
    guard: Guard,
    *,
    registry: ClientRegistry,
    tree: Tree,
    number: int,
) -> Members:
    secret = workspace_secret(settings.workspace / "token.key")
    return Members(
        registry,
        coordinator,
        opened.record,
        observer,
        mint=TokenMint(secret, lifetime=settings.token_seconds),
        guard=guard,
        task_name=settings.server.task_name,
        run_number=number,
        epoch=opened.record.state.epoch,
        tree=tree,
    )


def _best(
    settings: ServerSettings, components: ServerComponents, failures: FailureDesk
) -> BestModel:
    if settings.upstream is not None:
        return NobodysBest()
    start = settings.server.start_round
    return BestModel(components.selector, failures.note, start_round=start)


def _summary(settings: ServerSettings, opened: OpenedRun) -> Summary:
    state, spec = opened.record.state, settings.spec
    journal = opened.journal
    summary = Summary(
        opened.folder,
        name=spec.name,
        digest=spec.digest,
        rounds=lambda: closed_rounds(journal.events()),
        failed=state.components_failed,
        lost=state.lost,
        cross_site=lambda: None if state.cross_site is None else state.cross_site.summary(),
        durable=settings.durable,
    )
    if state.best is not None:
        summary.set_best(state.best[0])
    if opened.ended:
        return summary
    try:
        summary.write(RunStatus.RUNNING, "", wall_seconds=state.wall_seconds)
    except DiskFullError as error:  # the one that is there says nothing wrong of what was done
        _log.warning("the summary is not written anew: %s", error.message)
    return summary


def _validator(settings: ServerSettings, opened: OpenedRun) -> ServerValidator | None:
    server = settings.server
    if server.model_validator is None or not server.validate_every:
        return None
    return ServerValidator(settings, opened.folder, server.model_validator)


def _welcome(settings: ServerSettings, opened: OpenedRun, codec: str, number: int) -> RegisterReply:
    above = settings.upstream
    return RegisterReply(
        run_number=number,
        seed=opened.record.state.seed,
        num_rounds=settings.server.num_rounds,
        start_round=settings.server.start_round,
        server_mmar_digest=settings.spec.digest,
        epoch=opened.record.state.epoch,
        run_id=opened.record.state.run_id if above is None else above.run_id,
        assigns=settings.assigns,
        validate_every=settings.server.validate_every or 0,
        update_codec=_told(codec),
        compression=_told(settings.server.compression),
    )


def _told(agreed: str) -> str:
    """Return what Register says: a client that knows of no such field is told nothing."""
    return "" if agreed == NONE else agreed
