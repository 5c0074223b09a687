# SPDX-License-Identifier: Apache-2.0
"""The child's end of the control socket: requests come in, replies and questions go out."""

from __future__ import annotations

import operator
import os
import select
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.answers import MOST_STEPS
from mmar_runner.children.messages import decode, encode
from mmar_runner.errors import ChildDiedError, TaskFailedError

if TYPE_CHECKING:
    from io import BufferedRWPair

#: The least time between two steps that are passed on, in seconds.
STEP_SECONDS: Final = 0.25


class ParentLine:
    """Reads requests, one at a time, and says something about the one being answered.

    Steps may be told by any thread of this process. They never wait: a parent that does not
    listen, because it is stopped itself, holds no training up.

    Args:
        lines: The control socket.
    """

    def __init__(self, lines: BufferedRWPair, descriptor: int) -> None:
        self._lines = lines
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._answering: int | None = None
        self._next_step = 0.0
        self._requests: deque[dict[str, Any]] = deque()

    def next_request(self) -> dict[str, Any] | None:
        """Wait for a request; None once the parent has no more to ask.

        Raises:
            ChildDiedError: What came is no message.
        """
        request = self._requests.popleft() if self._requests else self._read()
        if request is None:
            return None
        if not isinstance(request.get("id"), int):
            msg = f"the control socket carried {request!r:.80}, which is no request"
            raise ChildDiedError(msg)
        with self._lock:
            self._answering, self._next_step = request["id"], 0.0
        return request

    def reply(self, message: Mapping[str, Any]) -> None:
        """Answer the request; nothing is told about it afterwards.

        Raises:
            ValueError: A number is NaN or infinite.
            TypeError: A value is not JSON.
        """
        line = encode(message)
        with self._lock:
            self._answering = None
            self._write(line)

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the parent something about the request being answered, and wait for it.

        Args:
            question: A JSON object.

        Raises:
            TaskFailedError: The parent cannot say; its reason is the error's.
            ChildDiedError: The parent has gone.
        """
        with self._lock:
            self._write(encode({"id": self._answering, "ask": question}))
        while (message := self._read()) is not None:
            if "answer" in message:
                return _answered(message["answer"])
            self._requests.append(message)  # for later: the parent need not wait with them
        msg = "the parent has gone before it answered"
        raise ChildDiedError(msg)

    def step(self, done: int, total: int) -> None:
        """Say how far the request is, unless that was said a moment ago.

        Args:
            done: Steps that are done.
            total: Steps in all; 0 if that is not known.

        Raises:
            TypeError: One of them is no whole number.
        """
        step = [min(max(operator.index(number), 0), MOST_STEPS) for number in (done, total)]
        # What a data loader forks has this very object, and no business with the parent.
        if os.getpid() != self._process or time.monotonic() < self._next_step:
            return
        with self._lock:
            if self._answering is not None and self._writable.poll(0):
                self._next_step = time.monotonic() + STEP_SECONDS
                self._write(encode({"id": self._answering, "step": step}))

    def _read(self) -> dict[str, Any] | None:
        line = self._lines.readline()
        return decode(line) if line else None

    def _write(self, line: bytes) -> None:
        self._lines.write(line)
        self._lines.flush()


def _answered(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in answer:
        error = answer["error"]
        raise TaskFailedError(error["message"], reason=error["reason"], hint=error.get("hint"))
    result: Mapping[str, Any] = answer["result"]
    return result
