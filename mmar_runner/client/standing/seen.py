# SPDX-License-Identifier: Apache-2.0
"""What a session is at, as whoever watches it is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observation, Observer

_IDLE = {Topic.REGISTERED, Topic.SUBMITTED, Topic.RUN_ENDED, Topic.TASK_FAILED, Topic.REFUSED}


class Seen:
    """Hands observations on, and remembers the last state.

    Args:
        observer: Whoever watches.

    Attributes:
        state: ``idle``, ``training``, ``transferring`` or ``waiting``.
        round: The round that it is for, or None.
        since: Since when, UTC, ISO 8601.
        message: The last thing that is waited for or went wrong; empty if all is well.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.state = "idle"
        self.round: int | None = None
        self.since = _now()
        self.message = ""

    def observe(self, observation: Observation) -> None:
        """Remember one observation, and hand it on."""
        topic, data = observation.topic, observation.data
        if topic is Topic.TRAINING:
            self._set("training", data["round"])
        elif topic is Topic.TRAINED:
            self._set("transferring", data["round"])
        elif topic in _IDLE:
            # Of a task that failed, what the site lets the server know: administrators ask.
            key = "told" if topic is Topic.TASK_FAILED else "message"
            self._set("idle", data.get("round", self.round), str(data.get(key, "")))
        elif topic in {Topic.WAITING, Topic.UNREACHABLE}:
            self.message = str(data["message"])
        elif topic is Topic.ANSWERS:
            self.message = ""
        self._observer.observe(observation)

    def _set(self, state: str, round_number: int | None, message: str = "") -> None:
        if (state, round_number) != (self.state, self.round):
            self.since = _now()
        self.state, self.round, self.message = state, round_number, message


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
