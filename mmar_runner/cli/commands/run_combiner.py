# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner run-combiner``: a server towards its clients, and a client towards its parent."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmar_runner.cli.options import (
    durability_option,
    insecure_option,
    kit_option,
    plugins_dir_option,
    set_option,
)
from mmar_runner.cli.output import echo_hint, echo_json, json_option
from mmar_runner.cli.starting.combiner_sides import CombinerSides
from mmar_runner.cli.starting.kits import require_kit_or_insecure
from mmar_runner.cli.starting.signals import stop_on_signals
from mmar_runner.cli.starting.validated import parse_settings
from mmar_runner.cli.views.progress import make_observer
from mmar_runner.combiner.run import CombinerOutcome, CombinerSettings, run_combiner
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.hooks import load_plugins
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer


@click.command("run-combiner")
@click.argument("mmar", type=click.Path(path_type=Path))
@click.option(
    "--parent",
    metavar="HOST:PORT",
    help="Where the server, or the combiner, above listens.  [default: the kit's]",
)
@click.option("--name", help="This combiner's name at its parent; with a kit the kit's.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where its clients connect; port 0 picks a free one.  "
    "[default: the kit's, else 127.0.0.1:0]",
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
    help="Of how many of its clients a round needs updates.  "
    "[default: the kit's, else the MMAR's min_num_clients]",
)
@kit_option
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
    parent: str | None,
    name: str | None,
    listen: str | None,
    workspace: Path | None,
    min_clients: int | None,
    kit: Path | None,
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
    require_kit_or_insecure(kit, insecure=insecure)
    plugins = load_plugins(plugins_dir=plugins_dir)
    sides = CombinerSides(
        mmar,
        name,
        parent,
        listen,
        workspace,
        min_clients,
        parse_settings(pairs),
        Durability(durability),
        plugins_dir,
        connect_timeout,
    )
    made = nullcontext(sides.believed(plugins)) if kit is None else sides.trusted(kit, plugins)
    settle_memory()
    with made as settings:
        shown = settings.server.spec.name
        with make_observer("server", context.obj, mmar=shown, quiet=as_json) as observer:
            outcome = asyncio.run(_work(settings, plugins, observer))
    if as_json:
        echo_json(_as_json(settings.session.name, outcome))
    if outcome.status is RunStatus.STOPPED:
        echo_hint("the same command goes on where it was")
    context.exit(outcome.status.exit_code)


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
