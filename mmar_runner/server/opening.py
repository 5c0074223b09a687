# SPDX-License-Identifier: Apache-2.0
"""Opens a run: goes on with the last one, or serves its end, or begins the next."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mmar_runner.errors import DiskFullError, OrderError, StorageError, UsageError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.server_state import StatefulAggregator
from mmar_runner.server.components.companions import bring_companions
from mmar_runner.server.components.exclusion import excluded_names
from mmar_runner.server.components.persisting import find_checkpoint, make_initial_model
from mmar_runner.server.records.checkpoints import Checkpoints, new_epoch
from mmar_runner.server.records.identity import identity_of, require_same
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.models import ModelStore
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.replay import replay, unrecorded_seconds
from mmar_runner.server.records.room import files_at_once, room_needed, state_bytes
from mmar_runner.server.records.run_record import RunRecord
from mmar_runner.server.records.run_state import RunState
from mmar_runner.storage.journal import Journal
from mmar_runner.storage.journal_reading import JournalEvent, read_events
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import read_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.mmar.spec import ServerSpec
    from mmar_runner.server.records.record import LostModel, Rejected
    from mmar_runner.server.records.workspace import RunFolder, Workspace
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.upstream import GivenModel

_log = logging.getLogger(__name__)

#: What is said of the run before a new one: how it has ended, or that it is left unfinished.
Before: TypeAlias = RunStatus | Literal["left", ""]


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run that is ready to go on, or whose end is to be served.

    Attributes:
        folder: Where its files lie.
        record: Its journal, open, and what that adds up to.
        model: The model of the round to go on with.
        schema: The tensors of every model and update.
        models: The run's models.
        excluded: Names of the tensors that the MMAR leaves as they are.
        ended: Whether it is over: its end is served, and nothing of it is looked at.
        resumed: Whether an earlier process had worked on it.
        before: Why the run before it is not resumed: how it has ended, or ``left`` because a
            new one was asked for; empty if there is none.
        lost: Models that were found to be damaged just now.
        lost_updates: Updates that were found to be lost just now.
    """

    folder: RunFolder
    record: RunRecord
    model: ModelFile
    schema: ModelSchema
    models: ModelStore
    excluded: frozenset[str]
    resumed: bool
    ended: bool = False
    before: Before = ""
    lost: tuple[LostModel, ...] = ()
    lost_updates: tuple[Rejected, ...] = ()

    @property
    def journal(self) -> Journal:
        """The run's journal."""
        return self.record.journal


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run.

    Attributes:
        digest: The effective digest.
        plugins: Versions of the distributions in use, by name.
        expressions: What the aggregator may look for in the names of tensors.
        companions: What tensors it wants beside those of the model.
        aggregator: The rule itself, which says what it excludes and keeps; None for none.
        max_staleness: How many versions older than the newest the model may be that an update
            was made from.
    """

    digest: str
    plugins: Mapping[str, str] = field(default_factory=dict)
    expressions: Sequence[str] = ()
    companions: Sequence[str] = ()
    aggregator: TensorwiseAggregator | None = None
    max_staleness: int = 0

    def excludes(self, name: str) -> bool:
        """Return whether the aggregator leaves a tensor as it is."""
        return self.aggregator is not None and self.aggregator.excludes(name)

    @property
    def slots(self) -> int:
        """How many tensors the aggregator keeps for each floating one of the model."""
        rule = self.aggregator
        return len(rule.state) if isinstance(rule, StatefulAggregator) else 0


async def open_run(settings: ServerSettings, workspace: Workspace, wanted: Wanted) -> OpenedRun:
    """Resume or begin a run, or return one whose end its clients may not have heard of.

    A run that has failed is taken up again only if that is asked for.

    A folder in which no run has begun, because a server ended while it prepared one, is
    prepared anew.

    Args:
        settings: Of the server.
        workspace: Locked by this process.
        wanted: What would be run.

    Raises:
        UsageError: The last run is unfinished and was another MMAR's, or its seed's.
        StorageError: Its files are damaged.
        RunFailedError: There is no initial model, or an expression takes too long.
    """
    runs = workspace.runs()
    if not runs:
        return await _begin(settings, workspace.run(1), wanted)
    newest, begun = runs[0], None
    before: Before = ""
    opened: OpenedRun | Before | None
    for run in runs:  # a folder in which none has begun hides no unfinished one before it
        if run.journal.exists():
            opened = _left(run) if settings.new_run else await _resume(settings, run, wanted)
            if isinstance(opened, OpenedRun):
                return opened
            if opened is not None:
                begun, before = run, opened
                break
        if not run.is_empty:
            _log.warning("%s holds files, but no record of a run: it is left as it is", run.path)
    reused = newest is not begun and newest.is_empty and newest.clear()
    following = newest if reused else workspace.run(newest.number + 1)
    return replace(await _begin(settings, following, wanted), before=before)


async def open_numbered(settings: ServerSettings, folder: RunFolder, wanted: Wanted) -> OpenedRun:
    """Go on with the run of a certain folder, or begin it there.

    Args:
        settings: Of the server.
        folder: Of the run; it need not exist.
        wanted: What would be run.

    Raises:
        OrderError: RUN_ENDED, the folder's run has.
        UsageError: RUN_DIFFERS, it was another's.
        StorageError: Its files are damaged.
        RunFailedError: There is no initial model, or an expression takes too long.
    """
    if folder.journal.exists():
        opened = await _resume(settings, folder, wanted)
        if isinstance(opened, OpenedRun):
            return opened
        if opened is not None:
            msg = f"run {folder.number} has {opened} already"
            hint = "choose another with set_run_number, or delete this one with delete_run_number"
            raise OrderError(msg, hint=hint, reason="RUN_ENDED")
    folder.clear()  # what lies there was prepared, and never begun
    return await _begin(settings, folder, wanted)


async def _resume(
    settings: ServerSettings, folder: RunFolder, wanted: Wanted
) -> OpenedRun | RunStatus | Literal["left"] | None:
    """Return the run to go on with, or how it has ended; None if it has not begun."""
    journal = _journal(settings, folder)
    try:
        if not (events := journal.events()):
            journal.close()
            return None
        state = replay(events)
        if _belongs_elsewhere(settings, state):
            journal.close()
            return "left" if state.resumable else state.status
        retried = settings.retry_failed and state.status is RunStatus.FAILED
        if not state.resumable and not retried:
            if state.untold and _is_same(settings, folder, state, wanted):
                return _ended(settings, folder, RunRecord(journal, state))
            journal.close()
            return state.status
        require_same(settings, folder, state, wanted.digest, wanted.plugins)
        taken_up = _taken_up(state, events, retried=retried)
        return await _resumed(settings, folder, RunRecord(journal, state), wanted, taken_up)
    except BaseException:
        journal.close()
        raise


def _belongs_elsewhere(settings: ServerSettings, state: RunState) -> bool:
    """Whether a run is a part of another one above than the one that is worked for now."""
    run = "" if settings.upstream is None else settings.upstream.run
    return state.parent_run != run


def _taken_up(
    state: RunState, events: Sequence[JournalEvent], *, retried: bool
) -> tuple[Kind, dict[str, Any]]:
    """Return what goes on record of a run that is taken up, but for its round."""
    facts: dict[str, Any] = {"wall_seconds": state.wall_seconds + unrecorded_seconds(events)}
    if not retried:
        return Kind.RUN_RESUMED, facts
    # Another epoch: whoever still has a task of it, or was told of its end, comes anew.
    return Kind.RUN_RETRIED, {**facts, "epoch": new_epoch()}


def _left(folder: RunFolder) -> Before:
    """Return how a run stands that is not asked for; whatever is wrong with it, it is left."""
    try:
        status = replay(read_events(folder.journal)).status
    except StorageError:
        return "left"
    return "left" if status.resumable else status


def _is_same(settings: ServerSettings, folder: RunFolder, state: RunState, wanted: Wanted) -> bool:
    """Whether it was the same that was run: what is another MMAR's has no end to serve."""
    try:
        require_same(settings, folder, state, wanted.digest, wanted.plugins)
    except UsageError:
        return False
    return True


def _ended(settings: ServerSettings, folder: RunFolder, record: RunRecord) -> OpenedRun:
    """Return a run that is over: no model of it is needed, so none is looked for."""
    state = record.state
    model = ModelFile(folder.model(state.round), state.model_sha256, 0, None)
    models, schema = _models(settings, folder, 0), ModelSchema({})
    opened = OpenedRun(folder, record, model, schema, models, frozenset(), resumed=True)
    return replace(opened, ended=True)


async def _resumed(
    settings: ServerSettings,
    folder: RunFolder,
    record: RunRecord,
    wanted: Wanted,
    taken_up: tuple[Kind, dict[str, Any]],
) -> OpenedRun:
    models = _models(settings, folder, wanted.max_staleness)
    checkpoints = Checkpoints(folder, record, models)
    model, schema, lost = await asyncio.to_thread(checkpoints.current)
    best = await asyncio.to_thread(checkpoints.best)
    updates = await asyncio.to_thread(checkpoints.updates)
    excluded = await _excluded(settings, folder, schema, wanted.expressions)
    record.state.past = None  # nobody looks back any more, and it would grow with every round
    kind, facts = taken_up
    record.append(kind, {**facts, "round": record.state.round})
    opened = OpenedRun(folder, record, model, schema, models, excluded, resumed=True)
    models_lost = tuple(one for one in (lost, best) if one is not None)
    return replace(opened, lost=models_lost, lost_updates=tuple(updates))


async def _begin(settings: ServerSettings, folder: RunFolder, wanted: Wanted) -> OpenedRun:
    """Prepare a run; it has begun once all of it is on the disk and that is on record."""
    above = settings.upstream
    if above is None:
        find_checkpoint(settings)  # a wrong path leaves no run behind
    folder.create(settings.spec.root, durable=settings.durable)
    models = _models(settings, folder, wanted.max_staleness)
    if above is None:
        start = settings.server.start_round
        await make_initial_model(settings, folder)
    else:
        first = await above.first_model()
        start = first.round
        await asyncio.to_thread(_take_first, models, first)
    model, schema = models.adopt(start, None)
    excluded = await _excluded(settings, folder, schema, wanted.expressions)
    await asyncio.to_thread(
        bring_companions,
        model.path,
        wanted.companions,
        excluded=lambda name: name in excluded or wanted.excludes(name),
        durable=settings.durable,
    )
    model, schema = models.adopt(start, None)
    kept = state_bytes(wanted.slots, schema.fractions)
    _require_room(folder, settings.server, model.size, kept)
    record = RunRecord(_journal(settings, folder), RunState(past=None))
    facts = {
        "run_number": folder.number,
        "mmar": settings.spec.name,
        "digest": wanted.digest,
        "identity": identity_of(settings, wanted.plugins),
        "epoch": new_epoch(),
        "seed": settings.run_seed,
        "round": start,
        "model_sha256": model.sha256,
        **({} if above is None else {"parent_run": above.run}),
    }
    try:
        await asyncio.wrap_future(record.append(Kind.RUN_STARTED, facts))
    except BaseException:
        record.journal.close()
        raise
    return OpenedRun(folder, record, model, schema, models, excluded, resumed=False)


def _take_first(models: ModelStore, first: GivenModel) -> None:
    schema = ModelSchema.from_header(read_header(first.path, links=False))
    models.take(first.path, first.round, first.sha256, schema)


def _models(settings: ServerSettings, folder: RunFolder, bases: int) -> ModelStore:
    durable = settings.durable
    return ModelStore(folder, keep=settings.keep_models, durable=durable, bases=bases)


def _require_room(folder: RunFolder, server: ServerSpec, model_bytes: int, kept_bytes: int) -> None:
    """Refuse a run that would fill the disk in its first rounds.

    Args:
        folder: Where it would run.
        server: Says of how many clients there are updates, and which are filtered.
        model_bytes: Of a model, and of an update.
        kept_bytes: Of what the aggregator keeps beside a model.
    """
    updates, models = files_at_once(server, server.min_num_clients)
    needed = room_needed(updates, models, model=model_bytes, update=model_bytes, state=kept_bytes)
    free = shutil.disk_usage(folder.path).free
    if free < needed:
        kept = f" and what the aggregator keeps, {kept_bytes >> 20} MiB" if kept_bytes else ""
        msg = (
            f"{folder.path} has {free >> 20} MiB free; a round with {updates} updates and "
            f"{models} models of {model_bytes >> 20} MiB{kept} needs {needed >> 20} MiB"
        )
        raise DiskFullError(msg, hint="free some space, or choose another --workspace")


async def _excluded(
    settings: ServerSettings, folder: RunFolder, schema: ModelSchema, expressions: Sequence[str]
) -> frozenset[str]:
    declared, log = settings.server.exclude_vars, folder.logs / "expressions.log"
    return await excluded_names(declared, expressions, schema.tensors, log)


def _journal(settings: ServerSettings, folder: RunFolder) -> Journal:
    return Journal(folder.journal, durability=settings.durability, projection=folder.events)
