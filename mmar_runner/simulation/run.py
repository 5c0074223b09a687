# SPDX-License-Identifier: Apache-2.0
"""Runs a simulation from its settings to the end of its run."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.client.files.slots import SpareFiles
from mmar_runner.client.settings import SessionSettings
from mmar_runner.client.tasks.component_specs import check_components
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.redaction import Redaction
from mmar_runner.server.file_limit import raise_file_limit
from mmar_runner.simulation.failed_tasks import FailedTasks
from mmar_runner.simulation.job import Job
from mmar_runner.simulation.pool import TrainerPool
from mmar_runner.simulation.server_child import ServerChild
from mmar_runner.simulation.sessions import Sessions
from mmar_runner.simulation.settings import check_settings, known_key
from mmar_runner.simulation.trainer_host import TrainerHost
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.durability import Durability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.federation.run_status import RunStatus
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.security.policy.site_policy import SitePolicy
    from mmar_runner.simulation.hosts import Host
    from mmar_runner.simulation.settings import SimulationSettings

#: The longest path of a Unix socket that every system accepts, in bytes.
_SOCKET_PATH_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class SimulationOutcome:
    """How a simulation ended.

    Attributes:
        status: Finished, failed or stopped.
        reason: Why, if it did not finish.
        run_folder: Where the run's files lie.
        summary: What its ``summary.json`` says.
        hint: Where to look if it failed, or empty.
        trainer_peak_bytes: The most memory that a trainer's process took; None if that is not
            known.
    """

    status: RunStatus
    reason: str
    run_folder: Path
    summary: dict[str, Any]
    hint: str = ""
    trainer_peak_bytes: int | None = None


async def simulate(
    settings: SimulationSettings,
    specs: Mapping[str, MmarSpec],
    plugins: LoadedPlugins,
    observer: Observer,
    stop: asyncio.Event,
) -> SimulationOutcome:
    """Run a whole federation on this machine.

    Args:
        settings: What is simulated.
        specs: The validated MMAR as each client sees it, by the client's name.
        plugins: The plugins in force.
        observer: Sees what the server observes.
        stop: Once set, the server stops; the same settings resume the run.

    Raises:
        UsageError: The settings, or the policy, make no sense; nothing was started.
        NotAuthorizedError: The MMAR brings code that is not accepted; likewise.
        UsageError: RAY_MISSING or RAY_ADDRESS, see `RayCluster.begin`; likewise.
        RunFailedError: The server could not begin.
        MmarRunnerError: A session could not go on.
    """
    check_settings(settings)
    raise_file_limit(settings.clients, settings.clients_per_round, said="--clients")
    policy = None if settings.policy is None else load_policy(settings.policy)
    with translated(settings.workspace):
        settings.workspace.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        sockets = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="mmar-", dir=_socket_folder())
        )
        job = Job(settings, f"unix:{sockets}/server", logging.getLogger().getEffectiveLevel())
        spare = SpareFiles(settings.workspace / "models_in_use")
        session_of = partial(_session, settings, specs, policy, target=job.listen, spare=spare)
        check_components(session_of(settings.names[0]), plugins.registry)
        pool = await _pool(settings, observer, stack)
        failed = FailedTasks(observer)
        server = await ServerChild.start(job, failed)
        stack.push_async_callback(server.close)
        sessions = Sessions(settings.names, session_of, plugins, pool, failed, models=spare.folder)
        end = await sessions.beside(server, stop)
        peak = await pool.peak_bytes()
    summary = json.loads((end.run_folder / "summary.json").read_bytes())
    return SimulationOutcome(end.status, end.reason, end.run_folder, summary, end.hint, peak)


async def _pool(
    settings: SimulationSettings, observer: Observer, stack: AsyncExitStack
) -> TrainerPool:
    """Return where trainers live; it ends with the stack."""
    logs = settings.workspace / "logs"
    size = settings.children
    hosts: list[Host]
    if settings.backend == "ray":
        # Deferred: only this backend needs what it brings.
        from mmar_runner.simulation.ray_cluster import RayCluster  # noqa: PLC0415
        from mmar_runner.simulation.ray_host import RayHost  # noqa: PLC0415

        place = settings.ray_address or "this machine"
        observer.observe(Observation(Topic.WAITING, {"message": f"Ray on {place} to begin"}))
        cluster = await RayCluster.begin(settings.ray_address, size)
        stack.push_async_callback(cluster.end)
        size = min(settings.clients, settings.pool_size or cluster.workers)
        hosts = [RayHost(cluster, logs / f"trainers_{index}.log") for index in range(size)]
    else:
        hosts = [TrainerHost(logs / f"trainers_{index}.log") for index in range(size)]
    pool = TrainerPool(settings.names, hosts, logs)
    stack.push_async_callback(pool.close)
    return pool


def _session(
    settings: SimulationSettings,
    specs: Mapping[str, MmarSpec],
    policy: SitePolicy | None,
    name: str,
    *,
    target: str,
    spare: SpareFiles,
) -> SessionSettings:
    """Return what a client's session is started with."""
    spec = specs[name]
    session = SessionSettings(
        spec=spec,
        target=target,
        name=name,
        workspace=settings.workspace / "clients" / name,
        allow_byoc=settings.allow_byoc,
        allow_expressions=settings.allow_byoc,
        plugins_dir=settings.plugins_dir,
        task_timeout=settings.task_timeout,
        filter_key=known_key(settings, spec, name),
        memory_limit_bytes=settings.memory_limit_bytes,
        synthetic=settings.synthetic,
        durable=settings.durability is Durability.FULL,
        held_above=True,
        spare=spare,
    )
    # Nobody else is told of what fails: it is this machine's own.
    if policy is None:
        return session
    return replace(session.under(policy), redaction=Redaction.NOTHING)


def _socket_folder() -> str:
    """Return a folder whose paths are short enough for a socket."""
    usual = tempfile.gettempdir()
    longest = _SOCKET_PATH_BYTES - len("/mmar-xxxxxxxx/server")
    # The folder made in it is private to this user, whoever may write beside it.
    return usual if len(os.fsencode(usual)) <= longest else "/tmp"  # noqa: S108
