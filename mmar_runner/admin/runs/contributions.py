# SPDX-License-Identifier: Apache-2.0
"""What clients have contributed to the run that is open, and what came to nothing of late."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.observer import Topic
from mmar_runner.interfaces.update import sender

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmar_runner.interfaces.observer import Observation, Observer

#: Failures that are shown, the newest ones.
_SHOWN: Final = 20
_FAILURES: Final = frozenset({Topic.TASK_FAILED, Topic.UPDATE_REFUSED})


class Contributions:
    """Hands a run's observations on, and counts.

    Args:
        observer: Whoever watches.

    Attributes:
        accepted: How many updates of each client were accepted.
        last: The round of each client's last accepted update.
        failures: The newest failures: client, round, reason, message, log.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.accepted: Counter[str] = Counter()
        self.last: dict[str, int] = {}
        self.failures: deque[dict[str, Any]] = deque(maxlen=_SHOWN)

    def take_up(
        self, rounds: Iterable[Mapping[str, Any]], open_round: int, there: Iterable[str]
    ) -> None:
        """Count what earlier processes of the server have accepted.

        Args:
            rounds: As in ``summary.json``.
            open_round: The round that goes on.
            there: Whose updates of it are there already.
        """
        for one in rounds:
            # Of a combiner every site is named; it has sent one update all the same.
            for client in dict.fromkeys(sender(part["client"]) for part in one["contributions"]):
                self._count(client, one["round"])
            for part in one["rejected"]:
                reason, _, message = part["reason"].partition(": ")
                self._note(part, one["round"], reason, message)
        for client in there:
            self._count(client, open_round)

    def observe(self, observation: Observation) -> None:
        """Count one observation, and hand it on."""
        data = observation.data
        if observation.topic is Topic.UPDATE_ACCEPTED:
            self._count(data["client"], data["round"])
        elif observation.topic in _FAILURES and "client" in data:
            self._note(data, data["round"], data["reason"], data["message"])
        self._observer.observe(observation)

    def _count(self, client: str, round_number: int) -> None:
        self.accepted[client] += 1
        self.last[client] = max(round_number, self.last.get(client, round_number))

    def _note(self, data: Mapping[str, Any], round_number: int, reason: str, message: str) -> None:
        self.failures.append(
            {
                "client": data["client"],
                "round": round_number,
                "reason": reason,
                "message": message,
                "log": list(data.get("log", ())),
            }
        )
