# SPDX-License-Identifier: Apache-2.0
"""Opens a run: resumes the last one if it is unfinished, else begins the next."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DiskFullError, UsageError
from mmar_runner.server.exclusion import excluded_names
from mmar_runner.server.models import ModelStore
from mmar_runner.server.record import Kind, RunState, replay
from mmar_runner.server.tasks import find_checkpoint, make_initial_model
from mmar_runner.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.server.models import ModelFile
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.workspace import RunFolder, Workspace
    from mmar_runner.storage.model_schema import ModelSchema

#: The round's model, its result, and the best one.
_MODELS_AT_ONCE: Final = 3


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run that is ready to go on.

    Attributes:
        folder: Where its files lie.
        journal: Open.
        state: What the journal adds up to.
        model: The model of the round to go on with.
        schema: The tensors of every model and update.
        models: The run's models.
        excluded: Names of the tensors that the MMAR leaves as they are.
        resumed: Whether an earlier process had worked on it.
        before: Why the run before it is not resumed: ``finished``, ``failed``, or ``left``
            because a new one was asked for; empty if there is none.
    """

    folder: RunFolder
    journal: Journal
    state: RunState
    model: ModelFile
    schema: ModelSchema
    models: ModelStore
    excluded: frozenset[str]
    resumed: bool
    before: str = ""


async def open_run(
    settings: ServerSettings, workspace: Workspace, digest: str, expressions: Sequence[str]
) -> OpenedRun:
    """Resume or begin a run.

    Args:
        settings: Of the server.
        workspace: Locked by this process.
        digest: The effective digest of what would be run.
        expressions: What the aggregator may look for in the names of tensors.

    Raises:
        UsageError: The last run is unfinished and was another MMAR's, or its seed's.
        StorageError: Its files are damaged.
        RunFailedError: There is no initial model, or an expression takes too long.
    """
    last = workspace.last_run()
    before = ""
    if last is not None and last.journal.exists():
        opened = "left" if settings.new_run else await _resume(settings, last, digest, expressions)
        if isinstance(opened, OpenedRun):
            return opened
        before = opened
    number = 1 if last is None else last.number + 1
    begun = await _begin(settings, workspace.run(number), digest, expressions)
    return replace(begun, before=before)


async def _resume(
    settings: ServerSettings, folder: RunFolder, digest: str, expressions: Sequence[str]
) -> OpenedRun | str:
    """Return the run to go on with, or how it has ended."""
    journal = _journal(settings, folder)
    events = journal.events()
    state = replay(events) if events else RunState(status="failed")
    if not state.resumable:
        journal.close()
        return state.status
    if state.digest != digest:
        journal.close()
        msg = f"run {folder.number} is unfinished, and what is to be run now differs from it"
        hint = (
            "give the same MMAR, --set values and plugin versions to finish it, "
            "or begin another with --new-run"
        )
        raise UsageError(msg, hint=hint, reason="RUN_DIFFERS")
    models = ModelStore(folder, keep=settings.keep_models)
    model, schema = models.adopt(state.round, state.model_sha256)
    excluded = await _excluded(settings, folder, schema, expressions)
    journal.append(Kind.RUN_RESUMED, {"round": state.round})
    state.status = "running"
    return OpenedRun(folder, journal, state, model, schema, models, excluded, resumed=True)


async def _begin(
    settings: ServerSettings, folder: RunFolder, digest: str, expressions: Sequence[str]
) -> OpenedRun:
    find_checkpoint(settings)  # a wrong path leaves no run behind
    folder.create(settings.spec.root)
    await make_initial_model(settings, folder)
    models = ModelStore(folder, keep=settings.keep_models)
    start = settings.server.start_round
    model, schema = models.adopt(start, None)
    excluded = await _excluded(settings, folder, schema, expressions)
    _require_room(folder, settings.server.min_num_clients, model.size)
    journal = _journal(settings, folder)
    record = {
        "run_number": folder.number,
        "mmar": settings.spec.name,
        "digest": digest,
        "seed": settings.run_seed,
        "round": start,
        "model_sha256": model.sha256,
    }
    journal.append(Kind.RUN_STARTED, record).result()
    state = RunState(digest=digest, seed=settings.run_seed, round=start, model_sha256=model.sha256)
    return OpenedRun(folder, journal, state, model, schema, models, excluded, resumed=False)


def _require_room(folder: RunFolder, clients: int, model_bytes: int) -> None:
    """Refuse a run that would fill the disk in its first round."""
    needed = (clients + _MODELS_AT_ONCE) * model_bytes
    free = shutil.disk_usage(folder.path).free
    if free < needed:
        msg = (
            f"{folder.path} has {free >> 20} MiB free; a round with {clients} updates "
            f"and {_MODELS_AT_ONCE} models of {model_bytes >> 20} MiB needs {needed >> 20} MiB"
        )
        raise DiskFullError(msg, hint="free some space, or choose another --workspace")


async def _excluded(
    settings: ServerSettings, folder: RunFolder, schema: ModelSchema, expressions: Sequence[str]
) -> frozenset[str]:
    declared, log = settings.server.exclude_vars, folder.logs / "expressions.log"
    return await excluded_names(declared, expressions, schema.tensors, log)


def _journal(settings: ServerSettings, folder: RunFolder) -> Journal:
    return Journal(folder.journal, durability=settings.durability, projection=folder.events)
