# SPDX-License-Identifier: Apache-2.0
"""In how many processes a client's trainer works, and what starts them.

A trainer says itself that it can: a plugin by the fact ``parallel``, code of an MMAR by
``multi_gpu`` in config_train.json. Nothing is imported to find out.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import UsageError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.shell.accelerators import accelerators
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.catalog import ComponentCatalog

_log = logging.getLogger(__name__)


async def with_processes(settings: SessionSettings, catalog: ComponentCatalog) -> SessionSettings:
    """Return settings that say in how many processes the trainer works, and what starts them.

    Where nobody said how many, it is one; but as many as there are accelerators if the MMAR sets
    ``multi_gpu`` and the trainer can.

    Raises:
        UsageError: NOT_PARALLEL, several are demanded of a trainer that works in one;
            TOO_MANY_PROCESSES, this machine has fewer cores and accelerators.
    """
    if settings.launcher or settings.processes == 1:
        return settings
    launcher = launcher_of(settings, catalog)
    number = settings.processes
    if number is None:
        wanted = launcher and settings.spec.train_config.get("multi_gpu") is True
        number = max(await in_thread(count_accelerators), 1) if wanted else 1
        if number > 1:
            _log.info("multi_gpu: the trainer works in %d processes", number)
    elif not launcher:
        raise _not_parallel(settings)
    else:
        await in_thread(_require_room, number)
    return replace(settings, processes=number, launcher=launcher if number > 1 else "")


def launcher_of(settings: SessionSettings, catalog: ComponentCatalog) -> str:
    """Return the module that starts several processes of the trainer; empty if it works in one.

    Args:
        settings: They name the trainer.
        catalog: What is installed.
    """
    trainer = settings.client.client_trainer
    if not trainer.byoc:
        found = catalog.find(trainer.kind, trainer.declaration.get("path") or trainer.name)
        return "" if found is None else _launcher(found.extras)
    if settings.spec.train_config.get("multi_gpu") is not True:
        return ""
    kind = ComponentKind.CLIENT_TRAINER
    installed = (catalog.installed.find(kind, name) for name in catalog.installed.names(kind))
    stated = [one.extras for one in installed if one is not None]
    own = [extras for extras in stated if extras.get("parallel", {}).get("own_code")]
    return _launcher(own[0]) if own else ""


def count_accelerators() -> int:
    """Return how many accelerators a trainer sees here: CUDA_VISIBLE_DEVICES may hide some."""
    there = len(accelerators())
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return there
    return min(there, sum(one.strip() not in {"", "-1"} for one in shown.split(",")))


def _launcher(extras: Mapping[str, Any]) -> str:
    launcher: str = extras.get("parallel", {}).get("launcher", "")
    return launcher


def _not_parallel(settings: SessionSettings) -> UsageError:
    trainer = settings.client.client_trainer
    msg = f"the trainer {trainer.name} works in one process; {settings.processes} were demanded"
    hint = "start it without a number of processes, or deploy an MMAR whose trainer can"
    if trainer.byoc:
        hint = (
            "if this code divides its data by rank, its MMAR says so by multi_gpu in "
            "config_train.json; mmar-runner-torch must be installed here"
        )
    return UsageError(msg, hint=hint, reason="NOT_PARALLEL")


def _require_room(number: int) -> None:
    cores, there = os.cpu_count() or 1, count_accelerators()
    if number > max(cores, there):
        msg = f"{number} processes on a machine with {cores} cores and {there} accelerators"
        hint = f"{max(cores, there)} at most"
        raise UsageError(msg, hint=hint, reason="TOO_MANY_PROCESSES")
