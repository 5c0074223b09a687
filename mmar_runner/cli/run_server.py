# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner run-server``: runs the rounds that an MMAR declares, then exits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mmar_runner.cli.addresses import require_loopback
from mmar_runner.cli.options import (
    durability_option,
    insecure_option,
    kit_option,
    new_run_option,
    plugins_dir_option,
    seed_option,
    set_option,
    workspace_option,
)
from mmar_runner.cli.output import echo_json, json_option
from mmar_runner.cli.progress import make_observer
from mmar_runner.cli.signals import stop_on_signals
from mmar_runner.cli.validated import parse_settings, validated
from mmar_runner.errors import RunFailedError, RunStoppedError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.server.run import RunOutcome, run_server
from mmar_runner.server.settings import ServerSettings
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer

_DEFAULT_LISTEN: Final = "127.0.0.1:8002"


@click.command("run-server")
@click.argument("mmar", required=False, type=click.Path(path_type=Path))
@workspace_option
@click.option(
    "--listen",
    default=_DEFAULT_LISTEN,
    show_default=True,
    metavar="HOST:PORT",
    help="Where clients connect; port 0 picks a free one.",
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
    help="How many of the newest round models stay.",
)
@new_run_option
@durability_option("full")
@plugins_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mmar: Path | None,
    workspace: Path | None,
    listen: str,
    kit: Path | None,
    insecure: bool,
    pairs: tuple[str, ...],
    seed: int | None,
    keep_models: str,
    new_run: bool,
    durability: str,
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Run the server of a federation.

    The rounds that MMAR declares are run, then the command exits: 0 finished,
    1 failed, 3 stopped. The same command on the same workspace resumes a run that
    was stopped or killed.
    """
    if mmar is None:
        msg = "run-server without an MMAR waits for an administrator; this version cannot"
        raise UsageError(msg, hint="name the MMAR's folder")
    _require_insecure(kit, insecure, listen)
    plugins = load_plugins(plugins_dir=plugins_dir)
    variables = parse_settings(pairs)
    spec = validated(mmar, plugins, side="server", settings=variables)
    settings = ServerSettings(
        spec=spec,
        workspace=(workspace or Path("workspace") / spec.name).absolute(),
        listen=listen,
        seed=seed,
        keep_models=_parse_keep(keep_models),
        new_run=new_run,
        durability=Durability(durability),
        variables=variables,
        plugins_dir=None if plugins_dir is None else plugins_dir.absolute(),
    )
    settle_memory()
    with make_observer("server", context.obj, mmar=spec.name, quiet=as_json) as observer:
        outcome = asyncio.run(_serve(settings, plugins, observer))
    _conclude(outcome, as_json=as_json)


async def _serve(
    settings: ServerSettings, plugins: LoadedPlugins, observer: Observer
) -> RunOutcome:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await run_server(settings, plugins, observer, stop)


def _conclude(outcome: RunOutcome, *, as_json: bool) -> None:
    if as_json:
        echo_json(outcome.summary)
    summary = outcome.run_folder / "summary.json"
    if outcome.status == "failed":
        msg = f"the run failed: {outcome.reason}"
        raise RunFailedError(msg, hint=f"see {summary}")
    if outcome.status == "stopped":
        msg = f"the run was stopped: {outcome.reason}"
        raise RunStoppedError(msg, hint="the same command resumes it")


def _require_insecure(kit: Path | None, insecure: bool, listen: str) -> None:
    if kit is not None:
        msg = "--kit (certificates and mutual TLS) is not available in this version"
        raise UsageError(msg, hint="use --insecure on loopback")
    if not insecure:
        msg = "without a start-up kit the server speaks plain text, which must be asked for"
        raise UsageError(msg, hint="add --insecure (loopback only)")
    require_loopback(listen, option="--listen")


def _parse_keep(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        msg = f"--keep-models takes a number from 1 or 'all', not {text!r}"
        raise UsageError(msg)
    return int(text)
