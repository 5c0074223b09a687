# SPDX-License-Identifier: Apache-2.0
"""Who is assigned to whom, as the command line and a kit say it: at a server and at a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmar_runner.cli.starting.addresses import require_address, require_loopback
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.security.kits.kit import StartupKit

assign_option = click.option(
    "--assign",
    is_flag=True,
    help="Assign clients to this server's combiners; min_num_clients counts clients then.  "
    "[default: the kit's]",
)

pin_option = click.option(
    "--pin",
    "pins",
    multiple=True,
    metavar="CLIENT=COMBINER",
    help="With --assign: the one combiner that a client may work below; repeatable.",
)

controller_option = click.option(
    "--controller",
    metavar="HOST:PORT",
    help="Ask there which combiner to work below, in place of --server.  [default: the kit's]",
)

combiner_option = click.option(
    "--combiner", metavar="NAME", help="With --controller: the combiner to ask for first."
)


def assigning(
    kit: StartupKit | None, pins: Sequence[str], *, assign: bool
) -> dict[str, str] | None:
    """Return the one combiner that a client must have, by name; None if nobody is assigned.

    Args:
        kit: The server's, or None.
        pins: What ``--pin`` said.
        assign: Whether ``--assign`` was given.

    Raises:
        UsageError: A pin is none, or nobody is assigned.
    """
    provisioned = {} if kit is None else kit.pinned
    assigns = assign or (kit is not None and kit.assigns_clients)
    found = dict(provisioned)
    for pin in pins:
        client, separator, combiner = pin.partition("=")
        if not separator or not client or not combiner:
            msg = f"--pin takes CLIENT=COMBINER, not {pin!r}"
            raise UsageError(msg, hint="for example --pin site-1=east")
        if provisioned.get(client, combiner) != combiner:
            msg = f"the project pins {client} to {provisioned[client]}, not to {combiner}"
            raise UsageError(msg, hint="leave out --pin, or change project.yml")
        if found.get(client, combiner) != combiner:
            msg = f"--pin names two combiners for {client}: {found[client]} and {combiner}"
            raise UsageError(msg, hint="a client that may work below several needs no --pin")
        found[client] = combiner
    if found and not assigns:
        raise UsageError("--pin is for a server that assigns clients", hint="add --assign")
    return found if assigns else None


def require_controller(controller: str | None, server: str | None) -> None:
    """Refuse options of which one says where the client comes, and the other where it asks.

    Raises:
        UsageError: Both are given, or one is no address.
    """
    if controller is not None and server is not None:
        msg = "--controller and --server exclude each other: a client that asks is told"
        raise UsageError(msg, hint="leave out --server")
    if controller is not None:
        require_address(controller, option="--controller")


def require_asking(combiner: str | None, *, asks: bool) -> None:
    """Refuse to prefer a combiner where nobody is asked.

    Raises:
        UsageError: ``--combiner`` means nothing.
    """
    if combiner is not None and not asks:
        msg = "--combiner is for a client that asks which one it works below"
        raise UsageError(msg, hint="add --controller HOST:PORT, the server that assigns")


def admit_loopback(target: str) -> None:
    """Let a client in plain text be sent to this machine alone, whatever its controller says.

    Raises:
        UsageError: The combiner is elsewhere.
    """
    require_loopback(target, option="the controller's answer")
