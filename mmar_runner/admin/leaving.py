# SPDX-License-Identifier: Apache-2.0
"""How a standing server ends because it was told to: for good, or to come again."""

from __future__ import annotations

import asyncio


class Leaving:
    """Whether the server is to end. Used from the event loop.

    Attributes:
        asked: Set once it is, and whoever ordered it has the answer.
        reason: Why, in a sentence; empty before.
        again: Whether it is to execute its own command again.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reason = ""
        self.again = False

    def leave(self, reason: str, *, again: bool = False) -> None:
        """Ask the server to end, once whoever orders it has been answered."""
        self.reason, self.again = reason, again

    def answered(self) -> None:
        """See that an order has been answered."""
        if self.reason:
            self.asked.set()
