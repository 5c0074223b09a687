# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner simulate``: runs a whole federation on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.options import (
    allow_byoc_option,
    durability_option,
    goes_on_if_failed,
    new_run_option,
    plugins_dir_option,
    refuse_both,
    retry_failed_option,
    seed_option,
    set_option,
    task_timeout_option,
    workspace_option,
)
from mmar_runner.cli.output import echo_hint, echo_json, json_option, say
from mmar_runner.cli.starting.outside import workspace_of
from mmar_runner.cli.starting.signals import stop_on_signals
from mmar_runner.cli.starting.validated import checked, parse_settings
from mmar_runner.cli.views.progress import make_observer
from mmar_runner.documents.words import human_bytes
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.hooks import load_plugins
from mmar_runner.simulation.run import SimulationOutcome, simulate
from mmar_runner.simulation.settings import SimulationSettings, check_settings
from mmar_runner.simulation.specs import ClientSpecs
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.mmar.spec import MmarSpec
    from mmar_runner.simulation.settings import Backend


@click.command("simulate")
@click.argument("mmar", type=click.Path(path_type=Path))
@click.option(
    "--clients",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many clients there are, named site-1 to site-N.",
)
@click.option(
    "--clients-per-round",
    type=click.IntRange(min=1),
    metavar="C",
    help="How many of them work in a round.  [default: all]",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="R",
    help="How many rounds to run.  [default: the MMAR's]",
)
@seed_option
@set_option
@workspace_option
@new_run_option
@retry_failed_option
@durability_option("process")
@task_timeout_option
@click.option(
    "--backend",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where trainers live: in children of this program, or at the workers of a Ray cluster.",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="A Ray cluster of which this machine is a node.  [default: one of its own]",
)
@allow_byoc_option
@plugins_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mmar: Path,
    clients: int,
    clients_per_round: int | None,
    rounds: int | None,
    seed: int | None,
    pairs: tuple[str, ...],
    workspace: Path | None,
    new_run: bool,
    retry_failed: bool,
    durability: str,
    task_timeout: float | None,
    backend: Backend,
    ray_address: str | None,
    allow_byoc: bool,
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Run server and clients of MMAR on this machine.

    Ends as the server's run does: 0 finished, 1 failed, 3 stopped. The same command on
    the same workspace resumes a run that was stopped or killed.
    """
    refuse_both(new_run=new_run, retry_failed=retry_failed)
    settings = SimulationSettings(
        mmar=mmar.absolute(),
        workspace=workspace_of(workspace, mmar.absolute().name, mmar),
        clients=clients,
        clients_per_round=clients_per_round,
        rounds=rounds,
        seed=seed,
        variables=parse_settings(pairs),
        new_run=new_run,
        retry_failed=retry_failed,
        durability=Durability(durability),
        allow_byoc=allow_byoc,
        plugins_dir=None if plugins_dir is None else plugins_dir.absolute(),
        task_timeout=task_timeout,
        backend=backend,
        ray_address=ray_address,
    )
    check_settings(settings)
    plugins = load_plugins(plugins_dir=plugins_dir)
    specs = _specs(settings, plugins)
    settle_memory()
    with make_observer("simulate", context.obj, mmar=mmar.name, quiet=as_json) as observer:
        outcome = asyncio.run(_simulate(settings, specs, plugins, observer))
    _conclude(outcome, as_json=as_json)
    if outcome.status is RunStatus.FAILED:
        echo_hint(goes_on_if_failed(retry_failed=retry_failed))
    context.exit(outcome.status.exit_code)


def _specs(settings: SimulationSettings, plugins: LoadedPlugins) -> ClientSpecs:
    """Check the MMAR, once, and return it as each client sees it."""
    # What the numbers of clients are in the MMAR: the findings may be about them.
    also = "".join(f" --set {name}={value}" for name, value in settings.numbers.items())
    validation = checked(
        settings.mmar,
        plugins,
        side="all",
        settings=settings.all_variables,
        also=also,
        unasked=settings.numbers.keys() - settings.variables.keys(),
        asked=settings.asked,
    )
    return ClientSpecs(validation, settings.names)


async def _simulate(
    settings: SimulationSettings,
    specs: Mapping[str, MmarSpec],
    plugins: LoadedPlugins,
    observer: Observer,
) -> SimulationOutcome:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await simulate(settings, specs, plugins, observer, stop)


def _conclude(outcome: SimulationOutcome, *, as_json: bool) -> None:
    if as_json:
        echo_json(outcome.summary)
        return
    say(f"summary: {outcome.run_folder / 'summary.json'}")
    if outcome.trainer_peak_bytes is not None:
        say(f"a process of trainers took {human_bytes(outcome.trainer_peak_bytes)} at most")
    if outcome.reason and outcome.status is not RunStatus.FINISHED:
        say(f"the run {outcome.status}: {outcome.reason}", err=True)
    if outcome.hint:
        echo_hint(outcome.hint)
