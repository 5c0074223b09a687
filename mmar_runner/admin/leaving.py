# SPDX-License-Identifier: Apache-2.0
"""How a standing server ends because it was told to: for good, or to come again."""

from __future__ import annotations

import asyncio


class Leaving:
    """Whether the server is to end. Used from the event loop.

    Attributes:
        asked: Set once it is.
        reason: Why, in a sentence; empty before.
        again: Whether it is to execute its own command again.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reason = ""
        self.again = False

    def leave(self, reason: str, *, again: bool = False) -> None:
        """Ask the server to end, once what is under way has been answered."""
        self.reason, self.again = reason, again
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self.asked.set)


#: How long an answer that is under way may still take, in seconds.
_ANSWER_SECONDS = 0.2
