# SPDX-License-Identifier: Apache-2.0
"""What an event handler must be. The same events are pluggy hooks (``mmar_on_event``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class EventType(StrEnum):
    """What happens in a run on the server, in order of a round.

    BEST_MODEL comes once the best model has its name: the next round is open by then.
    """

    START_RUN = "START_RUN"
    ROUND_STARTED = "ROUND_STARTED"
    UPDATE_ACCEPTED = "UPDATE_ACCEPTED"
    BEFORE_AGGREGATION = "BEFORE_AGGREGATION"
    AFTER_AGGREGATION = "AFTER_AGGREGATION"
    BEST_MODEL = "BEST_MODEL"
    END_RUN = "END_RUN"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event.

    Attributes:
        type: What happened.
        run_number: The run.
        run_folder: ``WORKSPACE/run_<N>``.
        round: The round, or None for START_RUN and END_RUN.
        data: Facts of the event: ``client``, ``num_samples``, ``metrics`` for
            UPDATE_ACCEPTED; ``clients`` for ROUND_STARTED and BEFORE_AGGREGATION;
            ``metrics``, ``model``, ``model_sha256`` for AFTER_AGGREGATION and
            BEST_MODEL; ``status``, ``reason`` for END_RUN.
    """

    type: EventType
    run_number: int
    run_folder: Path
    round: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class Handler(ABC):
    """Sees the events of a run, in order, from one thread; it cannot change the run."""

    @abstractmethod
    def handle_event(self, event: RunEvent) -> None:
        """See one event. An exception is put on record, and fails the run if it is START_RUN."""


class BestModelSelector(Handler):
    """A handler that also decides which global model is the best so far.

    At most one is declared; without one, the first validation metric reported is
    taken, larger being better.
    """

    @abstractmethod
    def score(self, metrics: Mapping[str, float]) -> float | None:
        """Return the score of a round's averaged validation metrics; larger is better.

        None means the round has no score.
        """

    def weight(self, client: str, num_samples: float) -> float:
        """Return how much a client's validation metrics count in the average; 0 or more.

        They are of the model that it received, and by default weighed by its samples.

        Args:
            client: Its name.
            num_samples: How many samples it trained on this round.
        """
        del client
        return num_samples
