# SPDX-License-Identifier: Apache-2.0
"""Holds the payloads of an exchange until a phase is complete, and answers all of it then."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import MmarRunnerError, RefusedError, StorageError
from mmar_runner.server.records.exchange_file import ExchangeFile
from mmar_runner.server.rounds.exchange_round import ExchangeRound
from mmar_runner.server.rounds.round_aggregation import Withdrawn
from mmar_runner.waiting.races import end
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import AggregationContext
    from mmar_runner.interfaces.exchange import ExchangeHandler
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.open_round import OpenRound

_log = logging.getLogger(__name__)


class ExchangeDesk:
    """The exchanges of one run, used from its event loop.

    Args:
        handler: Answers; None in a run in which nothing is exchanged.
        path: The file that keeps the exchange of the open round.
        assignments: Know the open round, and the run's end.
        context: Gives what a handler is told of a round.
        minimum: Gives of how many clients a round needs updates.
        present: Gives who is there.
        wait: For how many seconds a first phase that would wait for everybody does, once it has
            as many payloads as a round needs: a client that is there and never hands in
            anything holds up no others.
    """

    def __init__(
        self,
        handler: ExchangeHandler | None,
        path: Path,
        assignments: Assignments,
        *,
        context: Callable[[int], AggregationContext],
        minimum: Callable[[], int],
        present: Callable[[], Collection[str]],
        wait: float,
    ) -> None:
        self._handler = handler
        self._file = ExchangeFile(path)
        self._assignments = assignments
        self._context = context
        self._minimum = minimum
        self._present = present
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self._current: ExchangeRound | None = None
        self._opening = asyncio.Lock()
        self._news = asyncio.Event()
        self._failure: RefusedError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def post(self, client: str, number: int, topic: str, phase: str, payload: bytes) -> bytes:
        """Take a client's payload of a phase and return the answer, once all are there.

        Raises:
            RefusedError: TOPIC_UNKNOWN, ROUND_MISMATCH, NOT_A_PARTICIPANT, EXCHANGE_PHASE,
                EXCHANGE_PAYLOAD, EXCHANGE_OVER, EXCHANGE_TOO_FEW, RUN_OVER or SERVER_STOPPING.
            StorageError: It cannot be kept.
        """
        if self._handler is None or topic != self._handler.topic:
            msg = f"nothing is exchanged here under the topic {topic[:64]!r}"
            raise RefusedError(msg, reason="TOPIC_UNKNOWN")
        current = self._require_round(number)
        exchange = await self._exchange_of(current)
        try:
            answer = exchange.answer(phase, client, payload)
        except RefusedError:
            self.look()  # nobody need wait for it, if it was started anew
            raise
        if answer is not None:
            return answer
        if exchange.members() is None and client not in current.invited:
            msg = f"{client} is not asked for an update in round {number}"
            raise RefusedError(msg, reason="NOT_A_PARTICIPANT")
        exchange.post(phase, client, payload)
        self._set_timer(exchange, phase)
        self.look()
        while True:
            events = (self._news, self._assignments.next_change)  # before it is looked again
            failure = self._failure
            if self._current is not exchange:
                raise failure or exchange.gone_by(client)
            if (answer := exchange.answer(phase, client, payload)) is not None:
                return answer
            self._require_run(number)
            await _any_of(*events)

    async def require_member(self, client: str, current: OpenRound) -> None:
        """Refuse an update of whoever did not take part in the exchange before it.

        Raises:
            RefusedError: EXCHANGE_OVER or EXCHANGE_PHASE.
        """
        if self._handler is not None:
            (await self._exchange_of(current)).require_member(client)

    async def settle(self, current: OpenRound) -> Withdrawn | None:
        """Have what follows on a round's updates exchanged, before they are combined.

        Returns:
            None if they can be combined now; or which must be withdrawn, because they cannot:
            too few help, or what was exchanged before them is not there any more. A server
            that is killed while a round is given up finds neither that nor the exchange.

        Raises:
            StorageError: What is exchanged cannot be kept.
        """
        if self._handler is None:
            return None
        exchange = await self._exchange_of(current)
        try:
            if exchange.takes_updates:
                await self._answer(exchange, dict.fromkeys(sorted(current.accepted), b""))
            if exchange.handler.at_close not in exchange.over:
                raise _lost(exchange)
            while (phase := exchange.phase) is not None:
                self._set_timer(exchange, phase)
                self.look()
                news = self._news
                if phase == exchange.phase and self._current is exchange:
                    await news.wait()
                if self._current is not exchange:
                    raise self._failure or _lost(exchange)
        except RefusedError as error:
            await self._give_up(exchange, error)
            return Withdrawn(error.reason, dict.fromkeys(sorted(current.accepted), error.message))
        return None

    def counts(self, client: str) -> bool:
        """Whether a client's update is among those that are combined, after `settle`."""
        exchange = self._current
        if self._handler is None or exchange is None:
            return self._handler is None
        return client in exchange.over.get(self._handler.at_close, {})

    async def forget(self, number: int) -> None:
        """Remove what was exchanged in a round whose result is on record."""
        if self._current is not None and self._current.number == number:
            try:
                await in_thread(self._file.remove)
            except StorageError as error:
                _log.warning("the exchange of round %d is left behind: %s", number, error.message)

    def look(self) -> None:
        """See whether a phase need wait no longer: somebody has come, left or answered."""
        exchange = self._current
        if exchange is None or (phase := exchange.phase) is None:
            return
        there = self._there(exchange)
        if exchange.is_complete(there, self._minimum()):
            exchange.busy = True
            self._begin(self._complete(exchange))
        elif exchange.is_hopeless(there):
            exchange.busy = True  # it is given up once
            self._begin(self._give_up(exchange, _too_few(exchange, phase, exchange.posts)))

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        if self._work:
            await asyncio.wait(self._work)

    # One phase

    async def _complete(self, exchange: ExchangeRound) -> None:
        phase, posts = exchange.phase, dict(exchange.posts)
        assert phase is not None  # noqa: S101 - a complete exchange completes nothing
        try:
            _require_enough(exchange, phase, posts)
            await self._answer(exchange, posts)
        except MmarRunnerError as error:
            _log.info("round %d, phase %s: %s", exchange.number, phase, error.message)
            if not isinstance(error, RefusedError):
                error = RefusedError(error.message, reason=error.reason, hint=error.hint)
            await self._give_up(exchange, error)
        except Exception as error:  # of the handler's own: nobody must wait for it
            msg = f"{exchange.handler.topic} failed in the phase {phase}: {type(error).__name__}"
            hint = "the server's log has the traceback; mend the aggregator's plugin"
            await self._give_up(exchange, RefusedError(msg, reason="AGGREGATOR", hint=hint))
            raise

    async def _answer(self, exchange: ExchangeRound, payloads: Mapping[str, bytes]) -> None:
        """Let the phase under way be over."""
        phase = exchange.phase
        assert phase is not None  # noqa: S101 - as above
        answers = await in_thread(exchange.handler.answer, phase, payloads)
        over = {**exchange.over, phase: dict(payloads)}
        await in_thread(self._file.write, exchange.exchange_id, over)
        exchange.over = over
        exchange.complete(phase, answers)
        self._stop_timer()
        self._watch(exchange)
        self._tell()

    async def _give_up(self, exchange: ExchangeRound, error: RefusedError) -> None:
        """Begin the exchange anew: whoever takes part is told why."""
        if self._current is not exchange:
            return  # another has begun
        self._current, self._failure = None, error
        self._stop_timer()
        try:
            await in_thread(self._file.remove)
        except StorageError as unremoved:
            _log.warning("an exchange that was given up is still there: %s", unremoved.message)
        self._tell()

    # Which round, who is there, what is new

    async def _exchange_of(self, current: OpenRound) -> ExchangeRound:
        async with self._opening:
            exchange = self._current
            if exchange is None or exchange.number != current.number:
                exchange = self._current = await in_thread(self._opened, current)
                self._stop_timer()
                self._watch(exchange)
            return exchange

    def _opened(self, current: OpenRound) -> ExchangeRound:
        handler, context = self._handler, self._context(current.number)
        assert handler is not None  # noqa: S101 - asked before
        name = hashlib.sha256(b"exchange" + context.secret).hexdigest()
        exchange = ExchangeRound(current.number, name, handler)
        handler.open(context)
        self._failure = None
        over = self._file.read(name)
        if not over.get(handler.at_close, {}).keys() <= current.accepted.keys():
            return exchange  # some of these updates do not count any more: it begins anew
        for phase, payloads in over.items():
            exchange.answers[phase] = handler.answer(phase, payloads)
            exchange.over[phase] = payloads
        return exchange

    def _there(self, exchange: ExchangeRound) -> Collection[str]:
        current = self._assignments.current
        if exchange.handler.at_close in exchange.over or current is None:
            return self._present()
        return current.invited

    def _require_round(self, number: int) -> OpenRound:
        current = self._assignments.current
        if current is None or current.number != number:
            msg = f"round {number} is not the current one"
            raise RefusedError(msg, reason="ROUND_MISMATCH", hint="ask for the current model")
        self._require_run(number)
        return current

    def _require_run(self, number: int) -> None:
        """Hold nobody longer than the run lasts."""
        if (end := self._assignments.outcome()) is not None:
            raise RefusedError(f"the run has {end.status}", reason="RUN_OVER")
        if self._assignments.round_number() != number:
            msg = f"round {number} is over"
            raise RefusedError(msg, reason="ROUND_MISMATCH", hint="ask for the current model")

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        work = self._loop.create_task(coroutine)
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    def _watch(self, exchange: ExchangeRound) -> None:
        """Wait for a further phase from its beginning: maybe nobody hands in anything."""
        phase = exchange.phase
        if phase is not None and exchange.over:
            self._set_timer(exchange, phase)

    def _set_timer(self, exchange: ExchangeRound, phase: str) -> None:
        seconds = exchange.handler.seconds(phase)
        if seconds is None and not exchange.over:
            least = max(self._minimum(), exchange.handler.least(phase))
            seconds = self._wait if len(exchange.posts) >= least else None
        if self._timer is None and seconds is not None and phase != exchange.handler.at_close:
            due = partial(self._due, exchange, phase)
            self._timer = self._loop.call_later(seconds, due)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, exchange: ExchangeRound, phase: str) -> None:
        self._timer = None
        if self._current is exchange and exchange.phase == phase:
            exchange.late = True
            if not exchange.posts and exchange.over:
                self._begin(self._give_up(exchange, _too_few(exchange, phase, {})))
            self.look()


async def _any_of(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*waits)


def _require_enough(exchange: ExchangeRound, phase: str, posts: Mapping[str, bytes]) -> None:
    if len(posts) < exchange.handler.least(phase):
        raise _too_few(exchange, phase, posts)


def _too_few(exchange: ExchangeRound, phase: str, posts: Mapping[str, bytes]) -> RefusedError:
    least = exchange.handler.least(phase)
    msg = (
        f"{exchange.handler.topic} in round {exchange.number}: {len(posts)} clients answered in"
        f" the phase {phase}, and {least} are needed"
    )
    hint = "the round is done again; look why the others did not answer"
    return RefusedError(msg, reason="EXCHANGE_TOO_FEW", hint=hint)


def _lost(exchange: ExchangeRound) -> RefusedError:
    msg = (
        f"round {exchange.number} has updates, and what was exchanged by"
        f" {exchange.handler.topic} before them is not there any more: nobody can use them"
    )
    return RefusedError(msg, reason="EXCHANGE_LOST", hint="the round is done again")
