# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner health``: asks a server whether it works, for whoever watches it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mmar_runner.cli.options import insecure_option
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.starting.addresses import is_loopback, require_address, require_loopback
from mmar_runner.cli.starting.kits import DEFAULT_ADDRESS, open_kit, require_kit_or_insecure
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from mmar_runner.client.health import HealthQuestion
    from mmar_runner.security.kits.kit import StartupKit

_ADDRESS: Final = "HOST:PORT"
_WORDS: Final = "health"


@click.command("health")
@click.argument("address", required=False, metavar=f"[{_ADDRESS}]")
@click.option(
    "--kit",
    type=click.Path(path_type=Path),
    help="Start-up kit of whoever asks: the server's own, or anybody's of the project.",
)
@insecure_option
@click.option(
    "--service",
    default="",
    metavar="NAME",
    help="Which service, such as mmar_runner.v1.FederatedTraining.  [default: the server itself]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one answer may take.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Ask again for so long, until it is SERVING.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    address: str | None,
    kit: Path | None,
    insecure: bool,
    service: str,
    timeout: float,
    wait: float,
    as_json: bool,
) -> None:
    """Ask the server at HOST:PORT whether it, or one of its services, can be used.

    Exit code 0: SERVING. 1: anything else, or no answer. Without HOST:PORT it is the kit's
    server; for the kit of a server or a combiner that one itself, on this machine.
    """
    require_kit_or_insecure(kit, insecure=insecure)
    # Deferred: wrong usage is answered without gRPC.
    from mmar_runner.client.health import SERVING, HealthQuestion, wait_for_health  # noqa: PLC0415

    if kit is None:
        target = address or DEFAULT_ADDRESS
        require_loopback(target, option=_WORDS)
        question = HealthQuestion(target, service, timeout=timeout)
    else:
        question = _by_kit(kit, address, service, timeout)
    status = asyncio.run(wait_for_health(question, wait=wait))
    if as_json:
        echo_json({"target": question.target, "service": service, "status": status})
    else:
        say(f"{question.target}: {service or 'the server'} is {status}")
    context.exit(0 if status == SERVING else 1)


def _by_kit(folder: Path, address: str | None, service: str, timeout: float) -> HealthQuestion:
    """Return the question of whoever a kit names.

    Raises:
        TrustError: The kit does not hold.
        UsageError: There is no address, or what was given is none.
    """
    # Deferred: whoever speaks plain text needs no cryptography.
    from mmar_runner.client.health import HealthQuestion  # noqa: PLC0415
    from mmar_runner.security.identity import Role  # noqa: PLC0415 - as above
    from mmar_runner.security.kits.roles import role_of  # noqa: PLC0415 - as above

    kit = open_kit(folder, role_of(folder) or Role.CLIENT)
    own = _own_address(kit)
    if address is None:
        target = kit.target if own is None else f"127.0.0.1:{own.rpartition(':')[2]}"
        if target is None:
            msg = f"nothing says where the server is: {folder} names no target"
            raise UsageError(msg, hint=f"give {_ADDRESS}")
    else:
        target = address
    host = require_address(target, option=_WORDS)
    # A server on this machine is called by whatever reaches it, and shows the name it has.
    expected = own.rpartition(":")[0] if own is not None and is_loopback(host) else None
    return HealthQuestion(target, service, kit, expected, timeout)


def _own_address(kit: StartupKit) -> str | None:
    """Return where the kit's owner itself listens; None for who only calls."""
    from mmar_runner.security.identity import Role  # noqa: PLC0415 - as above

    return kit.target if kit.identity.role is Role.SERVER else kit.own_target
