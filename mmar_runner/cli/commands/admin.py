# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner admin``: one order of an administrator, or a console for many."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.starting.addresses import require_address
from mmar_runner.cli.starting.kits import open_kit
from mmar_runner.errors import MmarInvalidError, UnreachableError, UsageError
from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from mmar_runner.cli.output import Invocation
    from mmar_runner.security.kits.kit import StartupKit

#: How long the server may take to let an administrator in, in seconds.
_LOGIN_SECONDS: Final = 10.0
_LEFT_ALONE: Final = "its answer is not waited for; it may have been carried out"
#: Options that may stand behind a command, too.
_TRAILING: Final = frozenset({"--json", "--yes"})


@click.command(
    "admin",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
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
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long the answer to COMMAND may take.  [default: no limit]",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long a server that is away may take to come up.  [default: 0]",
)
@click.option("--yes", is_flag=True, help="Do not ask before something is destroyed or ended.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    words: tuple[str, ...],
    kit: Path,
    server: str | None,
    timeout: float | None,
    wait: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Order something of a server that waits for administrators; without COMMAND, a console.

    Options stand before COMMAND; `help` lists commands. Ends with 0 if it was done, with 1 if
    it was refused or an answer is missing, and with 2 if there is no such command. The console
    reads standard input line by line where that is no terminal, and ends with 1 if a line
    failed.
    """
    words, trailing = _trailing(words)
    as_json, yes = as_json or "--json" in trailing, yes or "--yes" in trailing
    admin = open_kit(kit, Role.ADMIN)
    target = server or admin.admin_target
    if target is None:
        msg = f"nothing says where the server answers administrators: {kit} names no admin_port"
        raise UsageError(msg, hint="give --server HOST:PORT")
    require_address(target, option="--server")
    if words:
        order = _Order(admin, target, words, timeout, wait=wait, yes=yes, as_json=as_json)
        context.exit(0 if asyncio.run(order.carry_out()) else 1)
    if as_json or timeout is not None:
        msg = "--json and --timeout are for one command, and none is given"
        raise UsageError(msg, hint="`mmar-runner admin --kit KIT help` lists commands")
    context.exit(0 if _console(admin, target, context.obj, wait, yes=yes) else 1)


def _trailing(words: tuple[str, ...]) -> tuple[tuple[str, ...], set[str]]:
    """Return words without the options of ours that stand at their end, and these."""
    found = set()
    while words and words[-1] in _TRAILING:
        found.add(words[-1])
        words = words[:-1]
    return words, found


def _console(
    kit: StartupKit, target: str, invocation: Invocation, wait: float, *, yes: bool
) -> bool:
    # Deferred: one order needs no line editor.
    from mmar_runner.cli.interactive.console import run_console  # noqa: PLC0415

    return asyncio.run(
        run_console(kit, target, invocation, seconds=_LOGIN_SECONDS, wait=wait, yes=yes)
    )


class _Order:
    """One order from the command line."""

    def __init__(
        self,
        kit: StartupKit,
        target: str,
        words: tuple[str, ...],
        timeout: float | None,
        *,
        wait: float,
        yes: bool,
        as_json: bool,
    ) -> None:
        self._kit, self._target, self._words = kit, target, words
        self._timeout, self._wait, self._yes, self._json = timeout, wait, yes, as_json

    async def carry_out(self) -> bool:
        """Carry it out; return True if it was done, at every target."""
        # Deferred: wrong usage is answered without gRPC.
        from mmar_runner.console.conversation import Conversation  # noqa: PLC0415

        seconds = min(_LOGIN_SECONDS, self._timeout or _LOGIN_SECONDS)
        notice = lambda text: say(text, err=True)  # noqa: E731
        async with Conversation(
            self._kit, self._target, seconds=seconds, notice=notice, wait=self._wait
        ) as talk:
            return await self._order(talk)

    async def _order(self, talk: Any) -> bool:
        from mmar_runner.cli.interactive.asking import may_go_on  # noqa: PLC0415 - as above
        from mmar_runner.cli.interactive.carrying_out import carry_out  # noqa: PLC0415
        from mmar_runner.cli.interactive.findings import say_findings  # noqa: PLC0415
        from mmar_runner.cli.views.admin_view import AdminView  # noqa: PLC0415

        call = talk.call(self._words)
        ask = _ask if sys.stdin.isatty() and sys.stderr.isatty() else None
        if not await may_go_on(call, ask, yes=self._yes):
            say("nothing was ordered", err=True)
            return False
        watching = call.spec.name == "watch"
        view = AdminView(quiet=self._json, statuses=self._json and watching)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                await carry_out(talk, self._words, view)
        except asyncio.CancelledError:  # Ctrl-C
            ended = "the view has ended; the run goes on" if watching else _LEFT_ALONE
            say(ended, err=True)
            raise
        except MmarInvalidError as error:
            if not self._json:
                say_findings(error)
            raise
        except TimeoutError as error:
            msg = f"{self._target} has not answered {call.spec.name} within {self._timeout:g} s"
            hint = "whether it was carried out is not known: `check_status server` says"
            raise UnreachableError(msg, hint=hint) from error
        if self._json and not watching:
            echo_json(view.result(self._words))
        elif not self._json and sys.stderr.isatty():
            say(view.done(time.monotonic() - began), err=True)
        return view.is_done


async def _ask(question: str) -> str:
    # One question, and nothing else to do meanwhile.
    return str(click.prompt(question, default="", show_default=False, prompt_suffix="", err=True))
