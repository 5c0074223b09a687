# SPDX-License-Identifier: Apache-2.0
"""Work that is left undone when the server is asked to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mmar_runner.errors import RunStoppedError
from mmar_runner.waiting.races import unless

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")

#: Why a server stops if nobody says more.
_ASKED: Final = "the server was asked to stop"


class Hurry:
    """Whether the server is to stop, and why.

    Attributes:
        asked: Set once it is.
        reason: Why, in a sentence; empty before.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reason = ""

    def ask(self, reason: str) -> None:
        """Ask it to stop."""
        self.reason = reason
        self.asked.set()


class StopEvent(asyncio.Event):
    """That a run is to stop, and why.

    Attributes:
        reason: Why, in a sentence.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason = _ASKED

    def ask(self, reason: str) -> None:
        """Ask the run to stop."""
        self.reason = reason
        self.set()


def reason_of(stop: asyncio.Event) -> str:
    """Return why a run is to stop, as far as whoever set the event says."""
    return stop.reason if isinstance(stop, StopEvent) else _ASKED


async def unless_stopped(
    work: Coroutine[Any, Any, _T], stop: asyncio.Event, *, grace: float = 0.0
) -> _T:
    """Return what a piece of work returns, if it ends before the server is asked to stop.

    Args:
        work: It is cancelled, and waited for, if it does not.
        stop: Set once the server is asked to stop.
        grace: How long it may still take then, in seconds.

    Raises:
        RunStoppedError: It was left undone.
    """
    done = await unless(work, stop.wait(), grace=lambda: grace)
    if done.cancelled():
        msg = "the server was asked to stop"
        raise RunStoppedError(msg, hint="the same command goes on")
    return done.result()
