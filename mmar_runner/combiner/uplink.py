# SPDX-License-Identifier: Apache-2.0
"""Where the two halves of a combiner meet: the session above, and the server below.

Everything here runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import RunStoppedError
from mmar_runner.server.upstream import SumWanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mmar_runner.federation.run_status import RunEndStatus
    from mmar_runner.server.members.registry import SiteBelow
    from mmar_runner.server.upstream import GivenModel, Rounds, SumMade
    from mmar_runner.wire.messages import RegisterReply

#: How often it is told what a combiner waits for that has no model yet, in seconds.
_TOLD_AGAIN_SECONDS: Final = 60.0


class Uplink:
    """The way up, of one run above: see `mmar_runner.server.upstream.Upstream`.

    Args:
        told: What the parent says of that run.
        tell: Tells what is waited for.
    """

    def __init__(self, told: RegisterReply, tell: Callable[[str], None] = lambda _: None) -> None:
        self._tell = tell
        self.run = f"{told.run_id}/{told.epoch}"
        self.run_id, self.run_number = told.run_id, told.run_number
        self.assigns = told.assigns
        self._model: GivenModel | None = None
        self._destination: Path | None = None
        self._answer: asyncio.Future[SumMade] | None = None
        self._rounds: Rounds | None = None
        self._end: tuple[RunEndStatus, str] | None = None
        self._changed = asyncio.Event()

    # What the session above says

    def give(self, model: GivenModel, destination: Path) -> asyncio.Future[SumMade]:
        """Give the newest model down.

        Args:
            model: It lies there until a newer one is given.
            destination: Where the sum of that round's updates is to be written.

        Returns:
            Resolved once that is written; whoever wants it no more cancels it.
        """
        self._model, self._destination = model, destination
        self._answer = asyncio.get_running_loop().create_future()
        self._notify()
        self._pass_what_is_older()
        self._expect()
        return self._answer

    def sites(self) -> list[SiteBelow]:
        """Return what the sites below do; nothing before the rounds have begun."""
        return [] if self._rounds is None else self._rounds.sites()

    def end(self, status: RunEndStatus, reason: str) -> None:
        """The run above is over."""
        self._end = (status, reason)
        self._notify()
        if self._rounds is not None:
            self._rounds.end(status, reason)

    # What the server below asks

    async def first_model(self) -> GivenModel:
        """Wait for the model to begin with.

        Raises:
            RunStoppedError: The run above is over.
        """
        while self._model is None:
            self._tell("the parent's first round, with whose model clients are let in here")
            with suppress(TimeoutError):
                async with asyncio.timeout(_TOLD_AGAIN_SECONDS):
                    await self._until_changed()
        return self._model

    def attach(self, rounds: Rounds) -> None:
        """Have the rounds, which have begun, hear of what is decided above."""
        self._rounds = rounds
        self._pass_what_is_older()
        self._expect()
        if self._end is not None:
            rounds.end(*self._end)

    async def news(self, number: int) -> SumWanted | GivenModel:
        """Wait until the sum of a round is wanted, or the model of a later one is there.

        Args:
            number: The round whose updates are there.

        Raises:
            RunStoppedError: The run above is over.
        """
        while True:
            model, answer, destination = self._model, self._answer, self._destination
            if model is not None and model.round > number:
                return model
            if model is None or model.round != number:
                await self._until_changed()
                continue
            if destination is not None and answer is not None and not answer.done():
                return SumWanted(destination, model.expected)
            await self._until_changed()

    def hand_up(self, made: SumMade) -> None:
        """Give the sum that was wanted, if it still is."""
        newest = self._model
        if newest is None or self._answer is None or newest.round != made.round:
            return
        if not self._answer.done():
            self._answer.set_result(made)

    async def _until_changed(self) -> None:
        if self._end is not None:
            msg = f"the run above has {self._end[0]}"
            raise RunStoppedError(msg)
        await self._changed.wait()

    def _pass_what_is_older(self) -> None:
        rounds, model = self._rounds, self._model
        if rounds is not None and model is not None and model.round > rounds.next_round:
            rounds.pass_round()

    def _expect(self) -> None:
        rounds, model = self._rounds, self._model
        if rounds is not None and model is not None and model.expected is not None:
            rounds.expect(model.expected)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
