# SPDX-License-Identifier: Apache-2.0
"""Results that clients send: each topic is answered by the processor that claims it.

Every site has its turn: of each one result at a time is processed, and a client may send
a number of them in a round.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from mmar_runner.errors import ComponentFailedError, PluginConflictError, RefusedError
from mmar_runner.interfaces.result_processor import ResultContext
from mmar_runner.server.components.component_thread import ComponentThread
from mmar_runner.server.records.failed_components import ComponentFailure
from mmar_runner.wire.limits import MAX_RESULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmar_runner.interfaces.result_processor import ResultProcessor
    from mmar_runner.server.records.failed_components import NoteFailure
    from mmar_runner.server.records.workspace import RunFolder

#: Letters of an unknown topic that are repeated to whoever asked.
_MAX_TOPIC: Final = 100
#: What the server itself hands to its processor: no client may send it with SendResult.
CROSS_SITE_TOPIC: Final = "cross_site_validation"
#: Results that are taken of one client while a round lasts; a session sends one, and again
#: what it got no reply to.
RESULTS_PER_ROUND: Final = 64


class ResultDesk:
    """The declared result processors behind one thread.

    Args:
        processors: In declared order.
        folder: Of the run.
        newest_round: Gives the round that is open, or opens next.
        note: Takes note of a processor that cannot be closed.

    Raises:
        PluginConflictError: Two processors claim one topic.
    """

    def __init__(
        self,
        processors: Sequence[ResultProcessor],
        folder: RunFolder,
        *,
        newest_round: Callable[[], int],
        note: NoteFailure,
    ) -> None:
        self._processors = processors
        self._folder = folder
        self._newest_round = newest_round
        self._note = note
        self._by_topic = by_topic(processors)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._round = newest_round()
        self._taken: Counter[str] = Counter()
        self._thread = ComponentThread("results")
        self._closed = False

    @property
    def topics(self) -> list[str]:
        """The topics that are answered, sorted."""
        return sorted(self._by_topic.keys() - {CROSS_SITE_TOPIC})

    async def process(self, client: str, site: str, topic: str, payload: bytes) -> bytes:
        """Have a result processed and return the reply as JSON.

        Args:
            client: Who sends it.
            site: Whose turn it takes; a certificate's fingerprint, or a name.
            topic: What it is about.
            payload: The result.

        Raises:
            RefusedError: TOPIC_UNKNOWN, TOO_MANY_RESULTS, TOO_LARGE, PROTOCOL or RUN_OVER.
            ComponentFailedError: The processor wanted to leave.
        """
        processor = None if topic == CROSS_SITE_TOPIC else self._by_topic.get(topic)
        if processor is None:
            msg = f"no result processor of this run answers the topic {topic[:_MAX_TOPIC]!r}"
            raise RefusedError(msg, reason="TOPIC_UNKNOWN", hint=f"known: {self.topics}")
        newest = self._newest_round()
        self._count(client, newest)
        result = _parse(payload)
        context = ResultContext(client, self._folder.number, self._folder.path, newest)
        work = partial(self._processed, processor, topic, result, context)
        async with self._turns.setdefault(site, asyncio.Lock()):
            self._require_open()
            reply = await asyncio.wrap_future(self._thread.submit(work))
        return json.dumps(dict(reply)).encode()

    async def pass_on(self, client: str, topic: str, result: Mapping[str, Any]) -> None:
        """Have something processed that the server has checked, if a processor is declared.

        Raises:
            ComponentFailedError: The processor could not process it.
            RefusedError: RUN_OVER.
        """
        if (processor := self._by_topic.get(topic)) is not None:
            newest = self._newest_round()
            context = ResultContext(client, self._folder.number, self._folder.path, newest)
            self._require_open()
            work = partial(self._processed, processor, topic, result, context)
            await asyncio.wrap_future(self._thread.submit(work))

    @property
    def doing(self) -> str:
        """Which processor is at work, and at what; empty if none is."""
        return self._thread.doing

    def give_up(self) -> None:
        """Let `close` wait for a few seconds only."""
        self._thread.give_up()

    async def close(self) -> None:
        """Let every processor flush; one that cannot keeps no other, and no run, from its end.

        Nothing is processed any more. A second call does nothing.
        """
        if not self._closed:
            self._closed = True
            for processor in self._processors:
                self._thread.post(partial(self._close, processor))
        await self._thread.close()

    def _require_open(self) -> None:
        if self._closed:
            raise RefusedError("the run has ended", reason="RUN_OVER")

    def _count(self, client: str, newest: int) -> None:
        if newest != self._round:
            self._round = newest
            self._taken.clear()
        if self._taken[client] >= RESULTS_PER_ROUND:
            msg = f"{client} has sent {RESULTS_PER_ROUND} results in round {newest} already"
            raise RefusedError(msg, reason="TOO_MANY_RESULTS", hint="send more in the next round")
        self._taken[client] += 1

    def _processed(
        self,
        processor: ResultProcessor,
        topic: str,
        result: Mapping[str, Any],
        context: ResultContext,
    ) -> Mapping[str, Any]:
        try:
            with self._thread.does(f"{_name(processor)} at a result of {topic!r}"):
                return processor.process(topic, result, context)
        except SystemExit as error:  # it would take the server along
            raise ComponentFailedError(f"{_name(processor)} tried to exit") from error

    def _close(self, processor: ResultProcessor) -> None:
        try:
            with self._thread.does(f"{_name(processor)} at its close"):
                _closed(processor)
        except ComponentFailedError as error:
            cause = error.__cause__ or error
            self._note(ComponentFailure.of(_name(processor), "close", None, cause), cause)


def _name(processor: ResultProcessor) -> str:
    return f"the result processor {type(processor).__name__}"


def _closed(processor: ResultProcessor) -> None:
    try:
        processor.close()
    except (Exception, SystemExit) as error:
        msg = f"{_name(processor)} could not be closed: {error}"
        raise ComponentFailedError(msg) from error


def by_topic(processors: Sequence[ResultProcessor]) -> dict[str, ResultProcessor]:
    """Return which processor answers a topic.

    Raises:
        PluginConflictError: Two processors claim one topic.
    """
    topics: dict[str, ResultProcessor] = {}
    for processor in processors:
        for topic in processor.get_topics():
            if topic in topics:
                names = f"{type(topics[topic]).__name__} and {type(processor).__name__}"
                msg = f"two result processors claim the topic {topic!r}: {names}"
                raise PluginConflictError(msg, hint="declare only one of them")
            topics[topic] = processor
    return topics


def _parse(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_RESULT_BYTES:
        msg = f"a result of {len(payload)} bytes is larger than {MAX_RESULT_BYTES}"
        raise RefusedError(msg, reason="TOO_LARGE")
    try:
        result = json.loads(payload)
    except (ValueError, RecursionError) as error:
        msg = f"a result is not JSON: {error}"
        raise RefusedError(msg, reason="PROTOCOL") from error
    if not isinstance(result, dict):
        msg = "a result is not a JSON object"
        raise RefusedError(msg, reason="PROTOCOL")
    return result
