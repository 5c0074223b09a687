# SPDX-License-Identifier: Apache-2.0
"""The console from its first line to its last."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from mmar_runner.cli.interactive.carrying_out import answer_line
from mmar_runner.cli.interactive.findings import say_findings
from mmar_runner.cli.interactive.interrupts import Interrupts
from mmar_runner.cli.interactive.prompt import PipedLines, TypedLines
from mmar_runner.cli.output import echo_error, say
from mmar_runner.cli.views.admin_view import AdminView
from mmar_runner.console.conversation import Conversation
from mmar_runner.console.own_commands import ALIASES, RENAMED, today
from mmar_runner.console.typed_line import typed_line
from mmar_runner.documents.words import counted
from mmar_runner.errors import MmarInvalidError, MmarRunnerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.cli.interactive.prompt import Lines
    from mmar_runner.cli.output import Invocation
    from mmar_runner.security.kits.kit import StartupKit


async def run_console(
    kit: StartupKit,
    target: str,
    invocation: Invocation,
    *,
    seconds: float,
    wait: float,
    yes: bool,
) -> bool:
    """Carry out line after line until somebody leaves, or no more come.

    Args:
        kit: An administrator's.
        target: Where the server answers, ``host:port``.
        invocation: How the program was called.
        seconds: How long the server may take to let us in.
        wait: How long a server that is away may take to come up.
        yes: Do not ask before something is destroyed.

    Returns:
        True if a person was at it, or no line of a pipe failed.

    Raises:
        MmarRunnerError: The server does not let us in.
    """
    notice = lambda text: say(text, err=True)  # noqa: E731
    async with Conversation(kit, target, seconds=seconds, notice=notice, wait=wait) as talk:
        interrupts = Interrupts()
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return await _Console(talk, PipedLines(), invocation, interrupts, yes=yes).run()
        told = counted(len(talk.known.clients), "client")
        say(f"{target} lets {talk.user} in; {told} there. `help` lists commands, `bye` leaves.")
        typed = TypedLines(talk, kit.state_folder)
        await _Console(talk, typed, invocation, interrupts, yes=yes).run()
        return True


class _Console:
    """Reads and answers."""

    def __init__(
        self,
        talk: Conversation,
        lines: Lines,
        invocation: Invocation,
        interrupts: Interrupts,
        *,
        yes: bool,
    ) -> None:
        self._talk, self._lines, self._yes = talk, lines, yes
        self._invocation, self._interrupts = invocation, interrupts
        self._ask = lines.ask if isinstance(lines, TypedLines) else None

    async def run(self) -> bool:
        """Answer every line; return True if none failed."""
        with self._interrupts:
            return await self._run()

    async def _run(self) -> bool:
        good = True
        while True:
            try:
                line = await self._lines.next()
            except EOFError:
                return good
            except KeyboardInterrupt:
                if self._ask is None:
                    raise
                continue  # the line is dropped
            words, done = await self._answer(line)
            good = good and done
            if words and today(words, self._talk.specs) == ("bye",):
                return good

    async def _answer(self, text: str) -> tuple[Sequence[str], bool]:
        words: Sequence[str] = ()
        began = time.monotonic()
        try:
            line = typed_line(text)
            words = line.words
            if not words:
                return words, True
            if words[0] in RENAMED and words[0] not in self._talk.specs:
                say(f"{words[0]} is {ALIASES[words[0]]} now", err=True)
            done = await answer_line(
                self._talk, line, self._interrupts, ask=self._ask, yes=self._yes
            )
        except MmarRunnerError as error:
            if isinstance(error, MmarInvalidError):
                say_findings(error)
            echo_error(error, self._invocation)
            say(AdminView().done(time.monotonic() - began))
            return words, False
        return words, done
