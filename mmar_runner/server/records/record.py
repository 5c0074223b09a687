# SPDX-License-Identifier: Apache-2.0
"""What the journal of a run is told: the kinds of its events, and the values in them.

What they add up to is a `mmar_runner.server.records.run_state.RunState`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.aggregator import Contribution, UpdateKind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """The kinds of journal events."""

    RUN_STARTED = "run_started"
    RUN_RESUMED = "run_resumed"
    CLIENT_REGISTERED = "client_registered"
    CLIENT_LEFT = "client_left"
    ROUND_OPENED = "round_opened"
    UPDATE_ACCEPTED = "update_accepted"
    UPDATE_REFUSED = "update_refused"
    TASK_FAILED = "task_failed"
    ROUND_CLOSED = "round_closed"
    BEST_MODEL = "best_model"
    CHECKPOINT_LOST = "checkpoint_lost"
    BEST_MODEL_LOST = "best_model_lost"
    RUN_ENDED = "run_ended"
    RUN_SETTLED = "run_settled"


@dataclass(frozen=True, slots=True)
class AcceptedUpdate:
    """One accepted update, as the journal keeps it.

    Attributes:
        client: Who sent it.
        round: For which round.
        sha256: Of its file, hex.
        bytes: The file's size.
        num_samples: Its weight's larger part.
        kind: ``weights`` or ``weight_diff``.
        metrics: Of the local training.
        validation: Of the round's model on the client's data.
        seconds_train: How long the client worked.
        seconds_upload: How long the transfer took.
        inline: True if the bytes lie in the journal, else in the spool.
    """

    client: str
    round: int
    sha256: str
    bytes: int
    num_samples: float
    kind: str
    metrics: Mapping[str, float]
    validation: Mapping[str, float]
    seconds_train: float
    seconds_upload: float
    inline: bool

    @property
    def contribution(self) -> Contribution:
        """What an aggregator sees of it."""
        return Contribution(
            self.client,
            self.num_samples,
            UpdateKind(self.kind),
            {**self.metrics, **self.validation},
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LostModel:
    """A model file that was missing, or not the recorded one, when a run was resumed.

    Attributes:
        round: The round whose model it was.
        file: Its name.
        reason: ``missing``, ``unreadable`` or ``damaged``; ``undone`` for the best model, if
            its round is done again.
        expected: The recorded sha256, hex.
        found: That of the file, or empty.
        kept: Clients whose updates for the round before are still there: they count.
    """

    round: int
    file: str
    reason: str
    expected: str
    found: str
    kept: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal and the summary store it."""
        return {**asdict(self), "kept": list(self.kept)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LostModel:
        """Read what `to_json` gave, in whatever it is stored."""
        return cls(
            round=data["round"],
            file=data["file"],
            reason=data["reason"],
            expected=data["expected"],
            found=data["found"],
            kept=tuple(data["kept"]),
        )
