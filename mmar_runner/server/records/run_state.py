# SPDX-License-Identifier: Apache-2.0
"""The state of a run: what the events of its journal add up to (see `server/records/replay.py`).

Nothing else is consulted when a server starts again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmar_runner.federation.run_status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.server.records.record import AcceptedUpdate, LostModel


@dataclass(slots=True)
class RecordedClient:
    """A client that was registered when the journal ends."""

    name: str
    key_sha256: str
    mmar_digest: str
    fingerprint: str
    host: str


@dataclass(slots=True)
class RoundInputs:
    """What the last closed round was made of, should its result be lost.

    Attributes:
        accepted: Its updates, with their journal numbers.
        rejected: What was refused.
        participants: Who was given its model.
    """

    accepted: dict[str, tuple[AcceptedUpdate, int]] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    participants: tuple[str, ...] = ()


@dataclass(slots=True)
class RunState:
    """What the journal's events add up to.

    Attributes:
        digest: The run's effective digest.
        identity: The parts of that digest, to say what differs; empty in old journals.
        epoch: Names what clients may know of the run: it changes when the run goes back.
        run_id: Names the run for good: its first epoch.
        seed: Its seed.
        status: Running until a RUN_ENDED says otherwise.
        reason: Why it ended, if it did not finish.
        settled: Whether clients were given the time to hear of its end.
        round: The round to go on with.
        model_sha256: Of that round's model.
        accepted: The accepted updates of that round, with their journal numbers.
        last_round: For every client, the last round an update of it was accepted in.
        clients: Who was there.
        rounds: Summaries of the closed rounds.
        rejected: Of the round to go on with.
        participants: Who was given that round's model, if it was open.
        bests: The best round and its score, and those that were the best before, in order.
        closed: The round closed last, if the run has not gone back since.
        lost: Models that were lost, in order.
        wall_seconds: How long the run had been worked on.
        initial_sha256: Of the model that the run began with.
    """

    digest: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    epoch: str = ""
    run_id: str = ""
    seed: int = 0
    status: RunStatus = RunStatus.RUNNING
    reason: str = ""
    settled: bool = False
    round: int = 0
    model_sha256: str = ""
    accepted: dict[str, tuple[AcceptedUpdate, int]] = field(default_factory=dict)
    last_round: dict[str, int] = field(default_factory=dict)
    clients: dict[str, RecordedClient] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    participants: tuple[str, ...] = ()
    bests: list[tuple[int, float]] = field(default_factory=list)
    closed: RoundInputs | None = None
    lost: list[LostModel] = field(default_factory=list)
    wall_seconds: float = 0.0
    initial_sha256: str = ""

    @property
    def resumable(self) -> bool:
        """Whether there is something left to do."""
        return self.status.resumable

    @property
    def untold(self) -> bool:
        """Whether the run is over and its clients may not have heard of that."""
        return not self.status.resumable and not self.settled

    @property
    def best(self) -> tuple[int, float] | None:
        """The best round and its score."""
        return self.bests[-1] if self.bests else None

    def result_of(self, round_number: int) -> str:
        """Return the sha256 of a closed round's result; empty if it is not closed."""
        found = (e["model_sha256"] for e in self.rounds if e["round"] == round_number)
        return next(found, "")

    @property
    def model_before(self) -> str | None:
        """The sha256 of the model before that of `round`; None for the first round."""
        if not self.rounds:
            return None
        return self.rounds[-2]["model_sha256"] if len(self.rounds) > 1 else self.initial_sha256


@dataclass(frozen=True, slots=True)
class RunStart:
    """How a run stands when a server takes it up: what its parts begin with.

    It is what a `RunState` says then, without the rounds that are closed, of which there may
    be thousands. What happens afterwards is known by the parts and by the journal.

    Attributes:
        status: See `RunState`, as for the others.
    """

    status: RunStatus
    reason: str
    epoch: str
    run_id: str
    seed: int
    round: int
    accepted: Mapping[str, tuple[AcceptedUpdate, int]]
    last_round: Mapping[str, int]
    clients: Mapping[str, RecordedClient]
    rejected: tuple[Mapping[str, Any], ...]
    participants: tuple[str, ...]
    best: tuple[int, float] | None
    lost: tuple[LostModel, ...]
    wall_seconds: float

    @classmethod
    def of(cls, state: RunState) -> RunStart:
        """Return how a run stands, in values of its own."""
        return cls(
            status=state.status,
            reason=state.reason,
            epoch=state.epoch,
            run_id=state.run_id,
            seed=state.seed,
            round=state.round,
            accepted=dict(state.accepted),
            last_round=dict(state.last_round),
            clients=dict(state.clients),
            rejected=tuple(state.rejected),
            participants=state.participants,
            best=state.best,
            lost=tuple(state.lost),
            wall_seconds=state.wall_seconds,
        )

    @property
    def resumable(self) -> bool:
        """Whether there is something left to do."""
        return self.status.resumable
