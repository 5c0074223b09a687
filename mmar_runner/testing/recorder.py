# SPDX-License-Identifier: Apache-2.0
"""An observer that remembers what happened, for tests that wait for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observation, Topic


class Recorder:
    """Remembers observations, in order; used from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen: list[Observation] = []

    def observe(self, observation: Observation) -> None:
        """Remember one observation."""
        with self._changed:
            self._seen.append(observation)
            self._changed.notify_all()

    def all(self, topic: Topic | None = None, **facts: Any) -> list[Observation]:
        """Return what was seen, all of it or what matches.

        Args:
            topic: What it is about, or None for anything.
            facts: What its data must hold.
        """
        with self._changed:
            return [seen for seen in self._seen if _matches(seen, topic, facts)]

    def wait_for(self, topic: Topic, *, timeout: float = 30.0, **facts: Any) -> Observation:
        """Wait until something was seen and return the first that matches.

        Args:
            topic: What it is about.
            timeout: Seconds to wait.
            facts: What its data must hold.

        Raises:
            AssertionError: It was not seen in time.
        """

        def found() -> Observation | None:
            return next((seen for seen in self._seen if _matches(seen, topic, facts)), None)

        with self._changed:
            observation = self._changed.wait_for(found, timeout)
        if observation is None:
            msg = f"no {topic} {facts or ''} in {timeout:g} s; seen: {self._topics()}"
            raise AssertionError(msg)
        return observation

    def _topics(self) -> list[str]:
        return [str(seen.topic) for seen in self._seen]


def _matches(seen: Observation, topic: Topic | None, facts: dict[str, Any]) -> bool:
    if topic is not None and seen.topic is not topic:
        return False
    return all(key in seen.data and seen.data[key] == value for key, value in facts.items())
