# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner run-server``: runs the rounds that an MMAR declares, then exits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.options import (
    durability_option,
    goes_on_if_failed,
    insecure_option,
    kit_option,
    new_run_option,
    optional_mmar_argument,
    plugins_dir_option,
    refuse_both,
    retry_failed_option,
    seed_option,
    set_option,
    workspace_option,
)
from mmar_runner.cli.output import echo_hint, echo_json, json_option
from mmar_runner.cli.starting.assigning import assign_option, assigning, pin_option
from mmar_runner.cli.starting.kits import DEFAULT_ADDRESS, listen_address, require_kit_or_insecure
from mmar_runner.cli.starting.metrics import (
    metrics_option,
    require_metrics_address,
    served_metrics,
)
from mmar_runner.cli.starting.outside import workspace_of
from mmar_runner.cli.starting.running_already import naming_who_runs
from mmar_runner.cli.starting.signals import stop_on_signals
from mmar_runner.cli.starting.validated import parse_settings, validated
from mmar_runner.cli.views.progress import make_observer
from mmar_runner.documents.words import same_command
from mmar_runner.errors import RunFailedError, RunStoppedError, UsageError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.hooks import load_plugins
from mmar_runner.server.run import run_server
from mmar_runner.server.settings import OWN_CODE_SECONDS, ServerSettings
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.settling import RunOutcome


@click.command("run-server")
@optional_mmar_argument
@workspace_option
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where clients connect; port 0 picks a free one.  "
    f"[default: the kit's, else {DEFAULT_ADDRESS}]",
)
@click.option(
    "--admin-listen",
    metavar="HOST:PORT",
    help="Without MMAR: where administrators connect.  [default: the kit's admin_port]",
)
@click.option(
    "--session-idle",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Without MMAR: how long a session lives that no administrator uses.  [default: 3600]",
)
@kit_option
@insecure_option
@set_option
@seed_option
@click.option(
    "--keep-models",
    default="2",
    show_default=True,
    metavar="N|all",
    help="How many of the newest round models stay; of an unfinished run, two at least.",
)
@new_run_option
@retry_failed_option
@durability_option("full")
@click.option(
    "--allow-byoc",
    is_flag=True,
    help="Let an aggregator that the MMAR brings run, in a child process; with --insecure.",
)
@click.option(
    "--task-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=OWN_CODE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long an aggregator or a filter in a child may take for one update or a result, and "
    "a validator or the persistor for a model.",
)
@assign_option
@pin_option
@metrics_option
@plugins_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mmar: Path | None,
    workspace: Path | None,
    listen: str | None,
    admin_listen: str | None,
    session_idle: float | None,
    kit: Path | None,
    insecure: bool,
    pairs: tuple[str, ...],
    seed: int | None,
    keep_models: str,
    new_run: bool,
    retry_failed: bool,
    durability: str,
    allow_byoc: bool,
    task_timeout: float,
    assign: bool,
    pins: tuple[str, ...],
    metrics: str | None,
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Run the server of a federation.

    The rounds that MMAR declares are run, then the command exits: 0 finished,
    1 failed, 3 stopped. The same command on the same workspace resumes a run that
    was stopped or killed. With --kit, clients are known by their certificates,
    everything is encrypted, and the MMAR must be signed.

    Without MMAR (with a kit only) the server stands: administrators hand it MMARs, deploy,
    start and stop runs with `mmar-runner admin`. It ends when one of them shuts it down, and
    goes on with its run when it is started again.
    """
    refuse_both(new_run=new_run, retry_failed=retry_failed)
    if kit is not None:
        _refuse_allow_byoc(allow_byoc=allow_byoc)
    if mmar is None:
        _refuse_of_one_run(
            kit,
            {
                "--seed": seed is not None,
                "--new-run": new_run,
                "--retry-failed": retry_failed,
                "--assign": assign,
                "--pin": bool(pins),
            },
        )
    elif admin_listen is not None or session_idle is not None:
        msg = "--admin-listen and --session-idle are for a server that stands"
        raise UsageError(msg, hint="leave out MMAR: administrators deploy it")
    require_kit_or_insecure(kit, insecure=insecure)
    require_metrics_address(metrics)
    plugins = load_plugins(plugins_dir=plugins_dir)
    variables = parse_settings(pairs)
    if mmar is None:
        # Deferred: a server of one run is not administered.
        from mmar_runner.cli.starting.standing_server import Standing, stand  # noqa: PLC0415

        assert kit is not None  # noqa: S101 - it was asked for above
        with (
            served_metrics(metrics) as served,
            make_observer("server", context.obj, mmar="", quiet=as_json) as observer,
        ):
            standing = Standing(
                kit,
                workspace,
                listen,
                admin_listen,
                session_idle,
                _parse_keep(keep_models),
                Durability(durability),
                variables,
                plugins_dir,
                served.address,
            )
            stand(standing, plugins, served.watching(observer), as_json=as_json)
        return
    if kit is None:
        address = listen_address(None, listen)
        spec, trust = validated(mmar, plugins, side="server", settings=variables), None
        folder = workspace_of(workspace, spec.name, mmar)
    else:
        # Deferred: whoever speaks plain text needs no cryptography.
        from mmar_runner.admission.local import LocalMmar  # noqa: PLC0415
        from mmar_runner.cli.starting.trusted_server import open_trust  # noqa: PLC0415 - as above

        folder = workspace_of(workspace, mmar.resolve().name, mmar)
        running = "is this server running already? Stop it, or give this one a --workspace"
        with naming_who_runs(folder / "audit.jsonl", running):
            spec, trust = open_trust(kit, LocalMmar(mmar, folder, variables), plugins)
        address = listen_address(trust.kit, listen)
    settings = ServerSettings(
        spec=spec,
        workspace=folder,
        listen=address,
        seed=seed,
        keep_models=_parse_keep(keep_models),
        new_run=new_run,
        retry_failed=retry_failed,
        durability=Durability(durability),
        variables=variables,
        plugins_dir=None if plugins_dir is None else plugins_dir.absolute(),
        trust=trust,
        allow_byoc=allow_byoc,
        task_timeout=task_timeout,
        pinned=assigning(None if trust is None else trust.kit, pins, assign=assign),
    )
    with served_metrics(metrics) as served:
        settings = replace(settings, metrics=served.address)
        with make_observer("server", context.obj, mmar=spec.name, quiet=as_json) as observer:
            outcome = _run(settings, plugins, served.watching(observer))
    if as_json:
        _tell_as_json(outcome, new_run=new_run, retry_failed=retry_failed)
        context.exit(outcome.status.exit_code)
    _conclude(outcome, new_run=new_run, retry_failed=retry_failed)


def _refuse_of_one_run(kit: Path | None, of_one_run: Mapping[str, bool]) -> None:
    """Refuse what only a server of one run can be told.

    Args:
        kit: The start-up kit, if there is one.
        of_one_run: Options of such a server, and whether they are given.

    Raises:
        UsageError: There is no kit, or such an option.
    """
    if kit is None:
        msg = "run-server needs an MMAR, or a start-up kit with which it waits for administrators"
        hint = "give the MMAR's folder; or --kit DIR of a project's server"
        raise UsageError(msg, hint=hint)
    given = [name for name, is_given in of_one_run.items() if is_given]
    if given:
        msg = f"{given[0]} is for a server of one run, and no MMAR was given"
        raise UsageError(msg, hint="administrators choose the run: set_run_number N")


def _refuse_allow_byoc(*, allow_byoc: bool) -> None:
    """Refuse to be told what a kit's rules decide.

    Raises:
        UsageError: It was told.
    """
    if allow_byoc:
        msg = "--allow-byoc is for --insecure; with a kit the rules decide"
        raise UsageError(msg, hint="`mmar-runner policy explain` shows which")


def _run(settings: ServerSettings, plugins: LoadedPlugins, observer: Observer) -> RunOutcome:
    settle_memory()
    return asyncio.run(_serve(settings, plugins, observer))


async def _serve(
    settings: ServerSettings, plugins: LoadedPlugins, observer: Observer
) -> RunOutcome:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await run_server(settings, plugins, observer, stop)


def _tell_as_json(outcome: RunOutcome, *, new_run: bool, retry_failed: bool) -> None:
    """Write one document, of a run that failed too: it says why itself."""
    echo_json(outcome.summary)
    if outcome.status is RunStatus.STOPPED:
        echo_hint(f"{same_command(new_run=new_run)} resumes it")
    if outcome.status is RunStatus.FAILED:
        echo_hint(goes_on_if_failed(retry_failed=retry_failed))


def _conclude(outcome: RunOutcome, *, new_run: bool, retry_failed: bool) -> None:
    summary = outcome.run_folder / "summary.json"
    if outcome.status is RunStatus.FAILED:
        msg = f"the run failed: {outcome.reason}"
        goes_on = goes_on_if_failed(retry_failed=retry_failed)
        raise RunFailedError(
            msg, hint="; ".join(filter(None, (outcome.hint, f"see {summary}", goes_on)))
        )
    if outcome.status is RunStatus.STOPPED:
        msg = f"the run was stopped: {outcome.reason}"
        raise RunStoppedError(msg, hint=f"{same_command(new_run=new_run)} resumes it")


def _parse_keep(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        msg = f"--keep-models takes a number from 1 or 'all', not {text!r}"
        raise UsageError(msg)
    return int(text)
