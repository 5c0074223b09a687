# SPDX-License-Identifier: Apache-2.0
"""The first model and the export of the last: made in a child, since they need a framework."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mmar_runner.children.process import ChildProcess
from mmar_runner.errors import RunFailedError, StorageError, TaskFailedError, TaskTimeoutError
from mmar_runner.federation.seeds import derive_seed
from mmar_runner.server.components.companions import write_without_companions
from mmar_runner.server.components.component_child import START_SECONDS, child_spec
from mmar_runner.storage.atomic import publish, sync_file, sync_folder
from mmar_runner.storage.safetensors_format import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings


async def make_initial_model(settings: ServerSettings, folder: RunFolder) -> None:
    """Write the model of the first round, from a checkpoint or the declared network.

    It has its name only once it is whole and, unless the durability is less, on the disk.

    Raises:
        RunFailedError: The MMAR declares neither, or the result is no model.
        TaskError: The persistor failed, or outran its time: then its process is gone.
    """
    server = settings.server
    destination = folder.model(server.start_round)
    partial = destination.with_suffix(".part")
    partial.unlink(missing_ok=True)
    checkpoint = find_checkpoint(settings)
    if checkpoint is not None and _is_plain(checkpoint):
        _copy(checkpoint, partial)
    elif checkpoint is not None:
        await _persist(
            settings,
            folder,
            "convert",
            {"checkpoint": str(checkpoint), "destination": str(partial)},
        )
    else:
        seed = derive_seed(settings.run_seed, "initial model")
        await _persist(
            settings, folder, "initial_model", {"destination": str(partial), "seed": seed}
        )
    _require_model(settings, partial, made=checkpoint is None or not _is_plain(checkpoint))
    durable = settings.durable
    if durable:
        sync_file(partial)  # whoever wrote it
    publish(partial, destination, durable=durable)


async def export_model(settings: ServerSettings, folder: RunFolder, model: Path) -> str | None:
    """Export the final model in the framework's own format, if the persistor does.

    Its companions are no tensors of the network: they are left out.

    Raises:
        TaskError: As `make_initial_model`.
    """
    if settings.server.model_persistor is None:
        return None
    stripped = model.with_name(f"{model.stem}.export")
    has_companions = await asyncio.to_thread(write_without_companions, model, stripped)
    source = stripped if has_companions else model
    try:
        answer = await _persist(
            settings, folder, "export", {"model": str(source), "folder": str(folder.models)}
        )
    finally:
        stripped.unlink(missing_ok=True)
    file: str | None = answer.get("file")
    exported = None if file is None else folder.models / file
    if exported is not None and exported.is_file() and settings.durable:
        sync_file(exported)
        sync_folder(exported.parent)
    return file


def find_checkpoint(settings: ServerSettings) -> Path | None:
    """Return the checkpoint to start from, or None if the MMAR names none.

    Raises:
        RunFailedError: It is not there.
    """
    if settings.server.checkpoint is None:
        return None
    path = settings.spec.root / settings.server.checkpoint
    if not path.is_file():
        msg = f"the checkpoint {settings.server.checkpoint!r} is not a file"
        raise RunFailedError(msg, hint="correct ckpt_preload_path", reason="CHECKPOINT")
    return path


def _is_plain(checkpoint: Path) -> bool:
    """Return whether a checkpoint is taken as it is, without a persistor."""
    return checkpoint.suffix == ".safetensors"


def _require_model(settings: ServerSettings, file: Path, *, made: bool) -> None:
    """Look at the file of the first round's model as at a stranger's.

    Args:
        settings: Of the server.
        file: The file.
        made: Whether a persistor wrote it.

    Raises:
        TaskFailedError: A persistor wrote it, and it is no model.
        StorageError: It is none, or cannot be read.
    """
    persistor = settings.server.model_persistor
    try:
        read_header(file, links=False)
    except StorageError as error:
        if not made or persistor is None:
            raise
        msg = f"{persistor.label} left what is no model: {error.message}"
        raise TaskFailedError(msg, hint=error.hint) from error


def _copy(source: Path, destination: Path) -> None:
    try:
        with source.open("rb") as reader, destination.open("wb") as writer:
            while chunk := reader.read(1 << 20):
                writer.write(chunk)
    except OSError as error:
        msg = f"{source} cannot be copied to {destination}: {error.strerror}"
        raise StorageError(msg) from error


async def _persist(
    settings: ServerSettings, folder: RunFolder, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    persistor = settings.server.model_persistor
    if persistor is None:
        msg = "the MMAR declares no model_persistor, so there is no initial model"
        hint = "declare model_persistor in config_fed_server.json, or a .safetensors checkpoint"
        raise RunFailedError(msg, hint=hint, reason="NO_MODEL")
    spec = child_spec(settings, folder, "model_persistor", persistor)
    log, limit = folder.logs / "model_persistor.log", settings.task_timeout
    try:
        child = await ChildProcess.start(spec, log=log, timeout=max(limit, START_SECONDS))
        try:
            return await child.request(method, params, timeout=limit)
        finally:
            await child.close()
    except TaskTimeoutError as error:
        hint = f"--task-timeout gives it more time; {error.hint}"
        raise TaskTimeoutError(f"{persistor.label}: {error.message}", hint=hint) from error
