# SPDX-License-Identifier: Apache-2.0
"""One line of the console, from what was typed to the last word of its answer."""

from __future__ import annotations

import time
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

from mmar_runner.cli.interactive.asking import may_go_on
from mmar_runner.cli.output import say
from mmar_runner.cli.views.admin_view import AdminView
from mmar_runner.console.moving import MOVING
from mmar_runner.console.redirected import redirected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from typing import TextIO

    from mmar_runner.cli.interactive.asking import Ask
    from mmar_runner.cli.interactive.interrupts import Interrupts
    from mmar_runner.console.conversation import Conversation
    from mmar_runner.console.typed_line import TypedLine


async def carry_out(conversation: Conversation, words: Sequence[str], view: AdminView) -> None:
    """Carry out what was ordered, and show it.

    Raises:
        MmarRunnerError: It was refused, or the server is away.
    """
    with view:
        async with aclosing(conversation.events(words)) as events:
            async for event in events:
                view.show(event)


async def answer_line(
    conversation: Conversation,
    line: TypedLine,
    interrupts: Interrupts,
    *,
    ask: Ask | None,
    yes: bool,
) -> bool:
    """Carry out one line of the console and return True if it was done, wholly.

    Args:
        conversation: With the server.
        line: What was typed.
        interrupts: Hears Ctrl-C.
        ask: Asks on a terminal; None where there is none.
        yes: Do not ask.

    Raises:
        MmarRunnerError: It was refused, or the server is away.
    """
    call = conversation.call(line.words)
    if not await may_go_on(call, ask, yes=yes):
        say("nothing was ordered")
        return False
    began = time.monotonic()
    with _output(line) as stream:
        view = AdminView(stream=stream)
        finished = await interrupts.outwait(carry_out(conversation, line.words, view))
    if not finished:
        say(_interrupted(call.spec.name))
        return call.spec.name == "watch"
    if line.redirect is not None:
        say(f"written to {line.redirect.path}")
    say(view.done(time.monotonic() - began))
    return view.is_done


def _output(line: TypedLine) -> AbstractContextManager[TextIO | None]:
    return nullcontext() if line.redirect is None else redirected(line.redirect)


def _interrupted(name: str) -> str:
    if name == "watch":
        return "the view has ended; the run goes on"
    if name in MOVING:
        return f"{name} was broken off; call it again, and it goes on from there"
    return f"{name}: its answer is not waited for; it may have been carried out"
