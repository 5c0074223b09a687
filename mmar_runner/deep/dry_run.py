# SPDX-License-Identifier: Apache-2.0
"""One round of the whole federation on made-up data, through the code of production."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.client.settings import smaller
from mmar_runner.deep.failures import Failures
from mmar_runner.deep.measured import measured
from mmar_runner.deep.options import CLIENTS
from mmar_runner.deep.places import trained_model
from mmar_runner.deep.watching import run_watched
from mmar_runner.documents.words import counted, human_seconds
from mmar_runner.errors import MmarRunnerError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.mmar.checks.stated import outbound_filters, server_part
from mmar_runner.mmar.finding import Finding
from mmar_runner.mmar.validation import validate
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.simulation.run import simulate
from mmar_runner.simulation.settings import SimulationSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.deep.options import DeepOptions
    from mmar_runner.deep.watching import Watcher
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.checks.stated import Stated
    from mmar_runner.mmar.reports.deep import DeepReport
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.mmar.validation import Validation
    from mmar_runner.simulation.run import SimulationOutcome

#: Where a file system lies in memory, on Linux.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
#: How many times what a round needs has to be free there.
_SPARE: Final = 3
_LEAST_FREE: Final = 256 << 20
_OWN_CODE: Final = (
    "Try it with --allow-byoc, or with the --policy of a site that accepts it: it runs in child "
    "processes."
)


def dry_run(
    validation: Validation,
    plugins: LoadedPlugins,
    options: DeepOptions,
    deep: DeepReport,
    runner: asyncio.Runner,
    *,
    least: int,
    watcher: Watcher,
) -> DeepReport:
    """Try one round; what fails becomes a finding where it is declared.

    Args:
        validation: The MMAR, in which nothing is known to be wrong.
        plugins: The plugins in force.
        options: What may be run, and for how long.
        deep: What was estimated.
        runner: Of the process: what a round leaves to its event loop needs that again.
        least: How many updates the aggregator is defined for.
        watcher: Whoever waits for it.

    Returns:
        The estimates with what was measured beside them; as they were, if there was no round.

    Raises:
        KeyboardInterrupt: The process was interrupted, or told to end.
    """
    spec, look = validation.spec, validation.look
    if spec is None or spec.server is None or spec.client is None:
        return deep
    if (spec.byoc or spec.commands) and not options.own_code:
        place = trained_model(look)
        if place is not None:
            message = "The MMAR brings code of its own: no round was tried."
            place.find(look, "MMAR669", message, _OWN_CODE)
        return deep
    clients = max(CLIENTS, least, *(one.least for one in _stated(look)))
    watcher.stage(f"one round of {counted(clients, 'client')} is tried on made-up data")
    with tempfile.TemporaryDirectory(prefix="mmar-dry-run-", dir=_in_memory(deep)) as folder:
        settings = _settings(spec, options, clients, Path(folder) / "workspace")
        failures = Failures(look, spec, _memory_of_clients(options), watcher.observe)
        try:
            with _quiet():
                tried = _tried(settings, plugins, failures, options)
                outcome = run_watched(runner, tried, watcher)
        except MmarRunnerError as error:
            failures.ended(error.message, error.hint, error.reason)
            return deep
        if isinstance(outcome, Finding):
            _leave_out(look, outcome, clients)
            return deep
        if outcome.status is not RunStatus.FINISHED:
            failures.ended(outcome.reason, None, "")
            return deep
        failures.report()
        figures = measured(deep.figures, outcome, failures.sent_bytes)
        return replace(deep, figures=figures, dry_run=clients)


def _leave_out(look: Look, found: Finding, clients: int) -> None:
    message = f"A round of {counted(clients, 'client')} cannot be tried: {found.message}"
    place = (found.line, found.column)
    hint = "Nothing needs to be done; mmar-runner simulate tries it with as many as you like."
    look.findings.add(
        "MMAR669", message, file=found.file, position=place, pointer=found.pointer, hint=hint
    )


def _stated(look: Look) -> list[Stated]:
    """Return the components that may need a number of clients."""
    rule = server_part(look, "aggregator")
    return [*([] if rule is None else [rule]), *outbound_filters(look)]


def _memory_of_clients(options: DeepOptions) -> int | None:
    """Return the address space that a client's child may take; None for no limit."""
    limits = {} if options.policy is None else load_policy(options.policy).trainer
    stated = limits.get("memory_bytes")
    return smaller(options.dry_run_bytes, None if stated is None else int(stated))


def _settings(
    spec: MmarSpec, options: DeepOptions, clients: int, workspace: Path
) -> SimulationSettings:
    drawn = spec.server is not None and spec.server.clients_per_round is not None
    return SimulationSettings(
        mmar=spec.root,
        workspace=workspace,
        clients=clients,
        clients_per_round=clients if drawn else None,
        rounds=1,
        variables=options.variables,
        allow_byoc=options.own_code,
        plugins_dir=options.plugins_dir,
        task_timeout=options.dry_run_seconds,
        memory_limit_bytes=options.dry_run_bytes,
        policy=options.policy,
        synthetic=True,
    )


async def _tried(
    settings: SimulationSettings,
    plugins: LoadedPlugins,
    failures: Failures,
    options: DeepOptions,
) -> SimulationOutcome | Finding:
    """Run the round; what is valid for many clients need not be for few: that is returned."""
    validation = validate(
        settings.mmar,
        plugins.registry,
        settings=settings.all_variables,
        asked=settings.asked,
    )
    for finding in validation.report.errors:
        return finding
    specs = {name: validation.spec_for(name) for name in settings.names}
    known = {name: spec for name, spec in specs.items() if spec is not None}
    stop = asyncio.Event()
    failures.on_failure = stop.set  # its clients would be waited for
    seconds = options.dry_run_seconds
    too_late = f"the round was not over within {human_seconds(seconds)}"
    late = asyncio.get_running_loop().call_later(seconds, failures.note, too_late)
    try:
        return await simulate(settings, known, plugins, failures, stop)
    finally:
        late.cancel()


def _in_memory(deep: DeepReport) -> str | None:
    """Return a folder in memory with enough room; None for the usual one."""
    needed = max((one.estimate or 0 for one in deep.figures if one.what == "disk"), default=0)
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    free = shutil.disk_usage(_MEMORY).free
    return str(_MEMORY) if free > max(_SPARE * needed, _LEAST_FREE) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what a run logs, unless somebody asked for more than warnings."""
    log = logging.getLogger("mmar_runner")
    before = log.level
    if logging.getLogger().getEffectiveLevel() >= logging.WARNING:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
