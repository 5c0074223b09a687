# SPDX-License-Identifier: Apache-2.0
"""The question before something is destroyed or ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mmar_runner.interfaces.admin_command import CommandCall

    #: Asks on a terminal and returns what was typed.
    Ask = Callable[[str], Awaitable[str]]


async def may_go_on(call: CommandCall, ask: Ask | None, *, yes: bool) -> bool:
    """Return True if a call destroys nothing, or somebody says that it may.

    What concerns the server, or everybody, is typed out; of some clients, y is enough.

    Args:
        call: The call.
        ask: Asks on a terminal; None where there is none.
        yes: Whether everything may, without a question.

    Raises:
        UsageError: NOT_CONFIRMED, there is nobody to ask.
    """
    if yes or not call.spec.destructive:
        return True
    if ask is None:
        msg = f"{call.spec.name} is asked about first, and there is no terminal to ask at"
        hint = "give --yes before the command if it may be done; nothing was ordered"
        raise UsageError(msg, hint=hint, reason="NOT_CONFIRMED")
    word = _word(call)
    if word is None:
        return (await ask(f"{line_of(call)}: really? [y/N] ")).strip().lower() in ("y", "yes")
    typed = await ask(f"{line_of(call)}: type {word!r} to go on: ")
    return typed.strip() == word


def line_of(call: CommandCall) -> str:
    """Return a call as one line."""
    said = [
        " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for value in call.arguments.values()
    ]
    targets = str(call.targets) if call.spec.targets != "none" else ""
    return " ".join(filter(None, (call.spec.name, *said, targets)))


def _word(call: CommandCall) -> str | None:
    """Return what is to be typed; None if y is enough."""
    if call.spec.targets == "none":
        return None
    if call.targets.server or call.targets.all_clients:
        return str(call.targets)
    return None
