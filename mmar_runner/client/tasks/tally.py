# SPDX-License-Identifier: Apache-2.0
"""What became of a client's tasks, counted as whoever watches is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observation, Observer


class Tally:
    """Hands observations on, and counts the rounds for which this client's work counts.

    A session may last for any number of rounds, so that no list of them is kept.

    Args:
        observer: Whoever watches.

    Attributes:
        succeeded: Rounds for which an update was taken.
        failed: Rounds for which none was, because the task failed or the update was refused.
        last_failure: Why, of the last of them, with its reason's id; empty if there is none.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.succeeded = 0
        self.failed = 0
        self.last_failure = ""
        self._failed_in: int | None = None

    def observe(self, observation: Observation) -> None:
        """Count one observation, and hand it on."""
        data = observation.data
        if observation.topic in {Topic.TASK_FAILED, Topic.REFUSED}:
            self.failed += data["round"] != self._failed_in
            self._failed_in = data["round"]
            self.last_failure = f"round {data['round']}: {data['message']} [{data['reason']}]"
        elif observation.topic is Topic.SUBMITTED:
            self.succeeded += 1
            if data["round"] == self._failed_in:  # its second attempt
                self.failed -= 1
                self._failed_in = None
        self._observer.observe(observation)

    def facts(self) -> dict[str, Any]:
        """Return what became of the tasks, as JSON has it."""
        why = self.last_failure if self.failed else ""
        return {"succeeded": self.succeeded, "failed": self.failed, "last_failure": why}
