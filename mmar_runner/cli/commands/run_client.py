# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner run-client``: joins a run, trains on this site's data, submits updates."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mmar_runner.cli.options import (
    allow_byoc_option,
    insecure_option,
    kit_option,
    plugins_dir_option,
    set_option,
    stall_timeout_option,
    task_timeout_option,
)
from mmar_runner.cli.output import echo_hint, echo_json, json_option, say
from mmar_runner.cli.starting.again import execute_again
from mmar_runner.cli.starting.assigning import (
    admit_loopback,
    combiner_option,
    controller_option,
    require_asking,
    require_controller,
)
from mmar_runner.cli.starting.believed_client import believed_name, believed_settings
from mmar_runner.cli.starting.client_site import ClientSite
from mmar_runner.cli.starting.kits import DEFAULT_ADDRESS, require_kit_or_insecure
from mmar_runner.cli.starting.running_already import naming_who_runs
from mmar_runner.cli.starting.session_options import Limits, Way
from mmar_runner.cli.starting.signals import stop_on_signals
from mmar_runner.cli.starting.validated import parse_settings, say_settings
from mmar_runner.cli.views.progress import make_observer
from mmar_runner.errors import RefusedError, RunStoppedError, UsageError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.hooks import load_plugins
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from mmar_runner.cli.starting.trusted_client import TrustedClient
    from mmar_runner.client.session import SessionOutcome
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.standing.agent import StandingOutcome
    from mmar_runner.client.trust import ClientTrust
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer

#: The mend if another process writes this client's audit log.
_RUNNING: Final = (
    "is this client running already? Stop it, or add --instance K for a further client of the site"
)


@click.command("run-client")
@click.argument("mmar", required=False, type=click.Path(path_type=Path))
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="Where the server listens.  "
    f"[default: the kit's; without one the MMAR's if loopback, else {DEFAULT_ADDRESS}]",
)
@controller_option
@combiner_option
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
@stall_timeout_option
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train in N processes, each with an accelerator of its own if there are as many.  "
    "[default: 1, or all accelerators if the MMAR sets multi_gpu]",
)
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
    controller: str | None,
    combiner: str | None,
    name: str | None,
    instance: int | None,
    workspace: Path | None,
    kit: Path | None,
    insecure: bool,
    allow_byoc: bool,
    pairs: tuple[str, ...],
    task_timeout: float | None,
    stall_seconds: float | None,
    processes: int | None,
    connect_timeout: float | None,
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Join a federation as a client.

    Takes part in the rounds of MMAR until the run has ended, then exits: 0 finished,
    1 failed or refused, 3 stopped. The same command goes on where a stopped or killed
    one was.

    With --kit the kit says who this client is and where the server is, and the site's
    own policy decides what may run. Without MMAR it then takes the one that the server
    deployed, if the site accepts it; at a server that waits for administrators it does,
    run after run, what they order and the site allows.
    """
    require_kit_or_insecure(kit, insecure=insecure)
    require_controller(controller, server)
    plugins = load_plugins(plugins_dir=plugins_dir)
    site = ClientSite(mmar, plugins, parse_settings(pairs), workspace)
    limits = Limits(plugins_dir, task_timeout, stall_seconds, connect_timeout, processes)
    display = partial(make_observer, "client", context.obj, quiet=as_json)
    if kit is None:
        client = believed_name(name, instance)
        target = controller or server
        settings = limits.of(believed_settings(site, client, target, allow_byoc=allow_byoc))
        require_asking(combiner, asks=controller is not None)
        way = Way(controller is not None, combiner or "", admit_loopback)
        _say_guessed_index(settings)
        settle_memory()
        with display(mmar=settings.spec.name) as observer:
            outcome = asyncio.run(_join(settings, plugins, observer, way))
    else:
        _refuse_allow_byoc(allow_byoc)
        # Deferred: whoever speaks plain text needs no cryptography.
        from mmar_runner.cli.starting.trusted_client import TrustedClient  # noqa: PLC0415

        target = controller or server
        trusted = TrustedClient.open(kit, name=name, instance=instance, server=target)
        asks = controller is not None or (server is None and trusted.kit.is_assigned)
        require_asking(combiner, asks=asks)
        if server is not None and trusted.kit.is_assigned:
            say("warning: --server calls that one, whatever combiner the project assigns", err=True)
        way = Way(asks, combiner or "")
        client = trusted.name
        log = site.workspace(trusted.job(site), client) / "audit.jsonl"
        with naming_who_runs(log, _RUNNING):
            if (
                mmar is None
                and not asks
                and (stood := _stand(trusted, site, limits, display)) is not None
            ):
                _conclude_standing(context, stood, client, as_json=as_json)
                return
            outcome = _run_trusted(trusted, site, limits, display, way)
    if as_json:
        echo_json(_as_json(client, outcome))
    if outcome.status is RunStatus.STOPPED:
        echo_hint("the same command goes on where it was")
    context.exit(outcome.status.exit_code)


def _run_trusted(
    trusted: TrustedClient,
    site: ClientSite,
    limits: Limits,
    display: Callable[..., AbstractContextManager[Observer]],
    way: Way,
) -> SessionOutcome:
    local = None if site.mmar is None else trusted.local(site, site.mmar)
    settle_memory()

    async def work(trust: ClientTrust, observer: Observer) -> SessionOutcome:
        stop = asyncio.Event()
        stop_on_signals(stop)
        here = local
        if here is None:
            seconds = limits.connect_timeout
            here = await trusted.delivered(
                *(site, trust, observer, stop), connect_timeout=seconds, waits=way.asks
            )
            say_settings(here[0].validation)
        settings = limits.of(trusted.session(site, here, trust))
        _say_guessed_index(settings)
        return await way.walk(settings, site.plugins, observer, stop)

    with trusted.trust(site) as trust, display(mmar=trusted.job(site)) as observer:
        return asyncio.run(work(trust, observer))


def _stand(
    trusted: TrustedClient,
    site: ClientSite,
    limits: Limits,
    display: Callable[..., AbstractContextManager[Observer]],
) -> tuple[StandingOutcome, bool] | None:
    """Stand until it is over; None if the server is one that was started for one run."""
    # Deferred: a client of one run takes no orders.
    from mmar_runner.client.standing.agent import NO_ORDERS, StandingClient  # noqa: PLC0415
    from mmar_runner.client.standing.settings import StandingSettings  # noqa: PLC0415

    settle_memory()

    async def work(trust: ClientTrust, observer: Observer) -> tuple[StandingOutcome, bool]:
        stop = asyncio.Event()
        stop_on_signals(stop)
        settings = StandingSettings(
            trusted.name,
            trust,
            site.workspace(trusted.job(site), trusted.name),
            lambda admitted: limits.of(trusted.session(site, admitted, trust)),
            site.variables,
            limits.connect_timeout,
        )
        client = StandingClient(settings, site.plugins, observer)
        return await client.stand(stop), stop.is_set()

    try:
        with trusted.trust(site) as trust, display(mmar=trusted.job(site)) as observer:
            return asyncio.run(work(trust, observer))
    except RefusedError as error:
        if error.reason != NO_ORDERS:
            raise
        return None


def _conclude_standing(
    context: click.Context, stood: tuple[StandingOutcome, bool], client: str, *, as_json: bool
) -> None:
    outcome, stopped = stood
    if as_json:
        echo_json({"client": client, "reason": outcome.reason, "again": outcome.again})
    else:
        say(f"{client} has ended: {outcome.reason}", err=True)
    if outcome.again:
        execute_again()
    if stopped:
        echo_hint("the same command goes on where it was")
        context.exit(RunStoppedError.exit_code)


async def _join(
    settings: SessionSettings, plugins: LoadedPlugins, observer: Observer, way: Way
) -> SessionOutcome:
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await way.walk(settings, plugins, observer, stop)


def _say_guessed_index(settings: SessionSettings) -> None:
    """Say on stderr that a client's share of the data is a guess: nobody would see it."""
    if settings.spec.guesses_index:
        text = (
            f"warning: {settings.name} has no number: SITE_INDEX is 1; give --set SITE_INDEX=K, "
            "or every such site works on the first share"
        )
        say(text, err=True)


def _refuse_allow_byoc(allow_byoc: bool) -> None:
    if allow_byoc:
        msg = "--allow-byoc is for --insecure; with a kit the site's policy decides"
        hint = "`mmar-runner policy accept DIGEST --kit KIT` accepts code that was reviewed"
        raise UsageError(msg, hint=hint)


def _as_json(client: str, outcome: SessionOutcome) -> dict[str, object]:
    folder = outcome.run_folder
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "client": client,
        "run_number": outcome.run_number,
        "run_folder": None if folder is None else str(folder),
        "tasks": dict(outcome.tasks),
    }
