# SPDX-License-Identifier: Apache-2.0
"""Tasks that failed in a simulation: what only the site knows is told with the server's word.

A server hears no more than a sentence; here its sites' logs lie on the same machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.interfaces.observer import Observation, Topic

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observer


class FailedTasks:
    """Sees what the server observes, and hands it on with the mend that the site knows.

    Args:
        observer: Whoever watches the simulation.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._hints: dict[str, str] = {}

    def of(self, name: str) -> Observer:
        """Return the observer of one session."""
        return _Session(name, self._hints)

    def observe(self, observation: Observation) -> None:
        """See one observation of the server."""
        if observation.topic is Topic.TASK_FAILED:
            hint = self._hints.pop(str(observation.data.get("client")), None)
            observation = Observation(observation.topic, {**observation.data, "hint": hint})
        self._observer.observe(observation)


class _Session:
    """Remembers what one session said of its last failed task: the server is told later."""

    def __init__(self, name: str, hints: dict[str, str]) -> None:
        self._name = name
        self._hints = hints

    def observe(self, observation: Observation) -> None:
        if observation.topic is Topic.TASK_FAILED and (hint := observation.data.get("hint")):
            self._hints[self._name] = str(hint)
