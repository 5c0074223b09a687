# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner run-combiner``: a server towards its clients, and a client towards its parent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.options import (
    durability_option,
    insecure_option,
    plugins_dir_option,
    set_option,
)
from mmar_runner.cli.output import echo_hint, echo_json, json_option
from mmar_runner.cli.starting.addresses import require_loopback
from mmar_runner.cli.starting.believed_client import believed_name
from mmar_runner.cli.starting.kits import require_kit_or_insecure
from mmar_runner.cli.starting.signals import stop_on_signals
from mmar_runner.cli.starting.validated import parse_settings, validated
from mmar_runner.cli.views.progress import make_observer
from mmar_runner.client.settings import SessionSettings
from mmar_runner.combiner.run import CombinerOutcome, CombinerSettings, run_combiner
from mmar_runner.errors import UsageError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.hooks import load_plugins
from mmar_runner.server.settings import ServerSettings
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.mmar.spec import MmarSpec

#: The folder of the session, beside the runs of the server.
_UPWARD = "parent"


@click.command("run-combiner")
@click.argument("mmar", type=click.Path(path_type=Path))
@click.option(
    "--parent", metavar="HOST:PORT", required=True, help="The server, or combiner, above."
)
@click.option("--name", required=True, help="This combiner's name at its parent.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Where its clients connect; port 0 picks a free one.",
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    help="Where it keeps its files.  [default: ./workspace/<mmar name>/<name>]",
)
@click.option(
    "--min-clients",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of how many of its clients a round needs updates.  [default: the MMAR's min_num_clients]",
)
@insecure_option
@set_option
@durability_option("full")
@click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up if no parent answers at first.  [default: try for ever]",
)
@plugins_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mmar: Path,
    parent: str,
    name: str,
    listen: str,
    workspace: Path | None,
    min_clients: int | None,
    insecure: bool,
    pairs: tuple[str, ...],
    durability: str,
    connect_timeout: float | None,
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Take part in a federation as a combiner: for many clients, towards one server.

    Clients connect to it as to a server. What they make of a round's model it adds up, and
    sends as one sum to its parent, whose next model it hands on. It exits as a client does:
    0 finished, 1 failed or refused, 3 stopped. The same command goes on where a stopped or
    killed one was.
    """
    require_kit_or_insecure(None, insecure=insecure)
    require_loopback(parent, option="--parent")
    require_loopback(listen, option="--listen")
    client = believed_name(name, None)
    plugins = load_plugins(plugins_dir=plugins_dir)
    variables = parse_settings(pairs)
    spec = _with_minimum(validated(mmar, plugins, side="server", settings=variables), min_clients)
    folder = (workspace or Path("workspace") / spec.name / client).absolute()
    folders = None if plugins_dir is None else plugins_dir.absolute()
    settings = CombinerSettings(
        ServerSettings(
            spec=spec,
            workspace=folder,
            listen=listen,
            durability=Durability(durability),
            variables=variables,
            plugins_dir=folders,
        ),
        SessionSettings(
            spec=spec,
            target=parent,
            name=client,
            workspace=folder / _UPWARD,
            plugins_dir=folders,
            connect_timeout=connect_timeout,
            combines=True,
        ),
    )
    settle_memory()
    with make_observer("server", context.obj, mmar=spec.name, quiet=as_json) as observer:
        outcome = asyncio.run(_work(settings, plugins, observer))
    if as_json:
        echo_json(_as_json(client, outcome))
    if outcome.status is RunStatus.STOPPED:
        echo_hint("the same command goes on where it was")
    context.exit(outcome.status.exit_code)


def _with_minimum(spec: MmarSpec, min_clients: int | None) -> MmarSpec:
    """Return the MMAR with another minimum of clients.

    Raises:
        UsageError: It is more than may come.
    """
    if min_clients is None or spec.server is None:
        return spec
    if min_clients > spec.server.max_num_clients:
        most = spec.server.max_num_clients
        msg = f"--min-clients is {min_clients}, and max_num_clients of the MMAR is {most}"
        raise UsageError(msg, hint="give fewer, or raise max_num_clients")
    return replace(spec, server=replace(spec.server, min_num_clients=min_clients))


async def _work(
    settings: CombinerSettings, plugins: LoadedPlugins, observer: Observer
) -> CombinerOutcome:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await run_combiner(settings, plugins, observer, stop)


def _as_json(name: str, outcome: CombinerOutcome) -> dict[str, object]:
    folder = outcome.run_folder
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "combiner": name,
        "run_folder": None if folder is None else str(folder),
    }
