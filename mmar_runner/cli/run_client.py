# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner run-client``: joins a run, trains on this site's data, submits updates."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mmar_runner.cli.addresses import is_loopback, require_loopback
from mmar_runner.cli.options import (
    allow_byoc_option,
    insecure_option,
    kit_option,
    plugins_dir_option,
    set_option,
    task_timeout_option,
)
from mmar_runner.cli.output import json_option
from mmar_runner.cli.progress import make_observer
from mmar_runner.cli.signals import stop_on_signals
from mmar_runner.cli.validated import parse_settings, validated
from mmar_runner.client.session import SessionOutcome, run_session
from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import RunFailedError, RunStoppedError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.mmar.spec import MmarSpec

_DEFAULT_SERVER: Final = "127.0.0.1:8002"
_EXIT_CODES: Final = {
    "finished": 0,
    "failed": RunFailedError.exit_code,
    "stopped": RunStoppedError.exit_code,
}


@click.command("run-client")
@click.argument("mmar", required=False, type=click.Path(path_type=Path))
@click.option(
    "--server",
    metavar="HOST:PORT",
    help=f"Where the server listens.  [default: the MMAR's if loopback, else {_DEFAULT_SERVER}]",
)
@click.option("--name", help="This client's name in the federation.")
@click.option(
    "--instance",
    type=click.IntRange(min=1),
    metavar="K",
    help="Register as NAME_K: a further client of the same site.",
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    help="Where clients keep their files, each in a folder of its name.  "
    "[default: ./workspace/<mmar name>]",
)
@kit_option
@insecure_option
@allow_byoc_option
@set_option
@task_timeout_option
@click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up if no server answers at first.  [default: try for ever]",
)
@plugins_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mmar: Path | None,
    server: str | None,
    name: str | None,
    instance: int | None,
    workspace: Path | None,
    kit: Path | None,
    insecure: bool,
    allow_byoc: bool,
    pairs: tuple[str, ...],
    task_timeout: float | None,
    connect_timeout: float | None,
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Join a federation as a client.

    Takes part in the rounds of MMAR until the run has ended, then exits: 0 finished,
    1 failed, 3 stopped. The same command goes on where a stopped or killed one was.
    """
    if mmar is None:
        msg = "taking the MMAR that the server deploys is not available in this version"
        raise UsageError(msg, hint="name the MMAR's folder")
    client = _client_name(kit, insecure, name, instance)
    plugins = load_plugins(plugins_dir=plugins_dir)
    spec = validated(
        mmar, plugins, side="client", settings=parse_settings(pairs), client_name=client
    )
    settings = SessionSettings(
        spec=spec,
        target=_target(server, spec),
        name=client,
        workspace=(workspace or Path("workspace") / spec.name).absolute() / client,
        allow_byoc=allow_byoc,
        plugins_dir=None if plugins_dir is None else plugins_dir.absolute(),
        task_timeout=task_timeout,
        connect_timeout=connect_timeout,
    )
    settle_memory()
    with make_observer("client", context.obj, mmar=spec.name, quiet=as_json) as observer:
        outcome = asyncio.run(_join(settings, plugins, observer))
    if as_json:
        click.echo(json.dumps(_as_json(client, outcome)))
    context.exit(_EXIT_CODES.get(outcome.status, RunFailedError.exit_code))


async def _join(
    settings: SessionSettings, plugins: LoadedPlugins, observer: Observer
) -> SessionOutcome:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await run_session(settings, plugins, observer, stop)


def _client_name(kit: Path | None, insecure: bool, name: str | None, instance: int | None) -> str:
    if kit is not None:
        msg = "--kit (certificates and mutual TLS) is not available in this version"
        raise UsageError(msg, hint="use --insecure and --name on loopback")
    if not insecure:
        msg = "without a start-up kit the client speaks plain text, which must be asked for"
        raise UsageError(msg, hint="add --insecure (loopback only)")
    if not name:
        msg = "without a start-up kit nothing says who this client is"
        raise UsageError(msg, hint="add --name, for example --name site-1")
    if "/" in name or name in {".", ".."}:
        raise UsageError(f"{name!r} cannot be a client's name", hint="for example --name site-1")
    return name if instance is None else f"{name}_{instance}"


def _target(server: str | None, spec: MmarSpec) -> str:
    if server is not None:
        require_loopback(server, option="--server")
        return server
    declared = spec.target or ""
    host, _, port = declared.rpartition(":")
    return declared if is_loopback(host) and port.isdecimal() else _DEFAULT_SERVER


def _as_json(client: str, outcome: SessionOutcome) -> dict[str, object]:
    folder = outcome.run_folder
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "client": client,
        "run_number": outcome.run_number,
        "run_folder": None if folder is None else str(folder),
    }
