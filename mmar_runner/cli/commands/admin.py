# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner admin``: one order of an administrator, or a console for many."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmar_runner.cli.output import echo_json, json_option
from mmar_runner.cli.starting.addresses import require_address
from mmar_runner.cli.starting.kits import open_kit
from mmar_runner.cli.views.admin_view import AdminView
from mmar_runner.errors import UsageError
from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from mmar_runner.security.kits.kit import StartupKit


@click.command("admin", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
@click.option(
    "--kit",
    type=click.Path(path_type=Path),
    required=True,
    help="The start-up kit of an administrator.",
)
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="Where the server answers administrators.  [default: the kit's]",
)
@click.option("--yes", is_flag=True, help="Do not ask before something is destroyed or ended.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    words: tuple[str, ...],
    kit: Path,
    server: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Order something of a server that waits for administrators.

    Options stand before COMMAND. Ends with 0, or with 1 if something was refused or an answer
    is missing.
    """
    admin = open_kit(kit, Role.ADMIN)
    target = server or admin.admin_target
    if target is None:
        msg = f"nothing says where the server answers administrators: {kit} names no admin_port"
        raise UsageError(msg, hint="give --server HOST:PORT")
    require_address(target, option="--server")
    result = asyncio.run(_order(admin, target, words, yes=yes, as_json=as_json))
    if as_json:
        echo_json(result)
    context.exit(0 if result["status"] == "done" else 1)


async def _order(
    kit: StartupKit, target: str, words: tuple[str, ...], *, yes: bool, as_json: bool
) -> dict[str, Any]:
    # Deferred: wrong usage is answered without gRPC.
    from mmar_runner.console.session import admin_session  # noqa: PLC0415

    async with admin_session(kit, target) as session:
        call = session.understood(words)
        if call.spec.destructive and not yes:
            click.confirm(f"{' '.join(words)}: really?", abort=True, err=True)
        view = AdminView(quiet=as_json)
        async for event in session.execute(words):
            view.show(event)
        return view.result(words)
