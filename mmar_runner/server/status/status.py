# SPDX-License-Identifier: Apache-2.0
"""What a run is at, for people and programs that do not watch it: ``status.json``.

The file is written when something has changed, at most about once a second, so that a run
whose rounds take milliseconds does not pay for it; and every few seconds in any case, so
that its time says that somebody is alive.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import StorageError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.wording import utc
from mmar_runner.storage.atomic import write_json_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mmar_runner.interfaces.observer import Observation, Observer
    from mmar_runner.server.status.facts import RunFacts, WrittenFacts

_log = logging.getLogger(__name__)

#: What changes nothing that the file says.
_UNCHANGED: Final = frozenset({Topic.MODEL_SENT})
#: The pause between two writes, and the longest one, in seconds.
PAUSE_SECONDS: Final = 1.0
REFRESH_SECONDS: Final = 2.0
#: The least pause, in durations of the last look: one at thousands of clients takes long.
_PACE: Final = 40.0
#: Of how many clients at most the file is set out for people, which takes three times as long.
_SET_OUT: Final = 200


class StatusFile:
    """Writes ``status.json`` while a run goes on.

    Args:
        path: The file.
        observer: Whoever watches the run; what it sees is what may have changed.
        pause: See `PAUSE_SECONDS`.
        refresh: See `REFRESH_SECONDS`.
    """

    def __init__(
        self,
        path: Path,
        observer: Observer,
        *,
        pause: float = PAUSE_SECONDS,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        self._path = path
        self._observer = observer
        self._pause = pause
        self._refresh = refresh
        self._look: Callable[[], RunFacts] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changed = False
        self._last = float("-inf")
        self._took = 0.0
        self._writing: asyncio.Future[None] | None = None
        self._can_write = True

    def observe(self, observation: Observation) -> None:
        """Hand an observation on to whoever watches, and note that something has changed."""
        self._observer.observe(observation)
        if observation.topic not in _UNCHANGED:
            self.touch()

    def begin(self, look: Callable[[], RunFacts]) -> None:
        """Write from now on.

        Args:
            look: Returns what the file is to say.
        """
        self._look = look
        self._last = asyncio.get_running_loop().time() - self._pause
        self._changed = True
        self._set_timer(0.0)

    def touch(self) -> None:
        """Something has changed: it is written soon."""
        if self._changed or self._look is None:
            return  # it is going to be: this must cost nothing
        self._changed = True
        self._set_timer(self._last + self._at_least(self._pause) - _now())

    def hurry(self) -> None:
        """Write at once: what has changed must be there if the process is killed a moment later."""
        if self._look is not None:
            self._changed = True
            self._set_timer(0.0)

    async def close(self) -> None:
        """Write how it has ended, and no more."""
        look, self._look = self._look, None
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait({self._writing})
        if look is not None:
            await asyncio.to_thread(self._write, _dated(look()))

    def _set_timer(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay), self._due)

    def _due(self) -> None:
        if self._look is None:
            return
        loop = asyncio.get_running_loop()
        if self._writing is not None and not self._writing.done():
            self._set_timer(self._pause)  # the disk is slow, and must not be asked twice
            return
        begun = loop.time()
        facts = _dated(self._look())
        # Only now: what the look itself made somebody observe is among the facts.
        self._changed, self._last = False, loop.time()
        self._took = self._last - begun
        self._writing = loop.run_in_executor(None, self._write, facts)
        self._set_timer(self._at_least(self._refresh))

    def _at_least(self, pause: float) -> float:
        # Whoever reads takes a server for hung of which nothing is read for three refreshes.
        return max(pause, min(_PACE * self._took, 2 * self._refresh))

    def _write(self, facts: WrittenFacts) -> None:
        try:
            write_json_atomic(self._path, facts, compact=len(facts.get("clients", ())) > _SET_OUT)
        except StorageError as error:  # it changes nothing of the run
            if self._can_write:
                _log.warning("the status is not written: %s", error.message)
            self._can_write = False
        else:
            self._can_write = True


def _now() -> float:
    return asyncio.get_running_loop().time()


def _dated(facts: RunFacts) -> WrittenFacts:
    return {**facts, "pid": os.getpid(), "updated": utc(time.time())}
