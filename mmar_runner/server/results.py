# SPDX-License-Identifier: Apache-2.0
"""Results that clients send: each topic is answered by the processor that claims it."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import PluginConflictError, RefusedError
from mmar_runner.interfaces.result_processor import ResultContext
from mmar_runner.wire.limits import MAX_RESULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.interfaces.result_processor import ResultProcessor
    from mmar_runner.server.workspace import RunFolder

#: Letters of an unknown topic that are repeated to whoever asked.
_MAX_TOPIC: Final = 100


class ResultDesk:
    """The declared result processors behind one thread.

    Raises:
        PluginConflictError: Two processors claim one topic.
    """

    def __init__(self, processors: Sequence[ResultProcessor], folder: RunFolder) -> None:
        self._processors = processors
        self._folder = folder
        self._by_topic = _by_topic(processors)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="results")

    @property
    def topics(self) -> list[str]:
        """The topics that are answered, sorted."""
        return sorted(self._by_topic)

    async def process(self, client: str, topic: str, payload: bytes) -> bytes:
        """Have a result processed and return the reply as JSON.

        Raises:
            RefusedError: TOPIC_UNKNOWN, TOO_LARGE or PROTOCOL.
        """
        processor = self._by_topic.get(topic)
        if processor is None:
            msg = f"no result processor of this run answers the topic {topic[:_MAX_TOPIC]!r}"
            raise RefusedError(msg, reason="TOPIC_UNKNOWN", hint=f"known: {self.topics}")
        result = _parse(payload)
        context = ResultContext(client, self._folder.number, self._folder.path)
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(self._thread, processor.process, topic, result, context)
        return json.dumps(dict(reply)).encode()

    async def close(self) -> None:
        """Let every processor flush."""
        loop = asyncio.get_running_loop()
        for processor in self._processors:
            await loop.run_in_executor(self._thread, processor.close)
        self._thread.shutdown()


def _by_topic(processors: Sequence[ResultProcessor]) -> dict[str, ResultProcessor]:
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
