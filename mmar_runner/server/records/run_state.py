# SPDX-License-Identifier: Apache-2.0
"""The state of a run: what the events of its journal add up to (see `server/records/replay.py`).

Nothing else is consulted when a server starts again, and a server that lives looks at the same.
What closed rounds were made of is not in it, of which there may be any number: see
`closed_rounds`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmar_runner.federation.run_status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.server.records.cross_site_state import CrossSiteState
    from mmar_runner.server.records.failed_components import Failures
    from mmar_runner.server.records.outlying import Outlying
    from mmar_runner.server.records.record import CountedUpdate, LostModel, Rejected, Removed


@dataclass(slots=True)
class RecordedClient:
    """A client that was registered when the journal ends."""

    name: str
    key_sha256: str
    mmar_digest: str
    fingerprint: str
    host: str
    cross_validates: bool = False
    combines: bool = False
    serves_at: str = ""


@dataclass(slots=True)
class RoundInputs:
    """What the last closed round was made of, should its result be lost.

    Attributes:
        accepted: Its updates, by client.
        rejected: What was refused.
        participants: Who was given its model.
    """

    accepted: dict[str, CountedUpdate] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    participants: tuple[str, ...] = ()


@dataclass(slots=True)
class Past:
    """What a run that is taken up may have to go back to; it grows with every round.

    Attributes:
        first_round: The round that the run began with.
        initial_sha256: Of the model that clients received in it.
        results: The sha256 of every closed round's result, in order.
        states: That of what the aggregator kept beside it; empty for one that keeps nothing.
        bests: The best round and its score, and those that were the best before, in order.
    """

    first_round: int = 0
    initial_sha256: str = ""
    results: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    bests: list[tuple[int, float]] = field(default_factory=list)

    def result_of(self, round_number: int) -> str:
        """Return the sha256 of a closed round's result; empty if it is not closed."""
        index = round_number - self.first_round
        return self.results[index] if 0 <= index < len(self.results) else ""

    @property
    def model_before(self) -> str | None:
        """The sha256 of the model before that of the round to go on with; None for the first."""
        if not self.results:
            return None
        return self.results[-2] if len(self.results) > 1 else self.initial_sha256

    @property
    def state_before(self) -> str:
        """The sha256 of the aggregator's state beside that model; empty if there is none."""
        return self.states[-2] if len(self.states) > 1 else ""


@dataclass(slots=True)
class RunState:
    """What the journal's events add up to. Only `apply_event` changes it.

    Attributes:
        digest: The run's effective digest.
        identity: The parts of that digest, to say what differs; empty in old journals.
        epoch: Names what clients may know of the run: it changes when the run goes back, or
            goes on although clients were told that it had failed.
        run_id: Names the run for good: its first epoch.
        parent_run: Of a combiner: names the run above that it is a part of.
        seed: Its seed.
        status: Running until a RUN_ENDED says otherwise.
        reason: Why it ended, if it did not finish.
        settled: Whether clients were given the time to hear of its end.
        round: The round to go on with.
        model_sha256: Of that round's model.
        state_sha256: Of what the aggregator keeps, as that round finds it; empty for nothing.
        accepted: The accepted updates of that round, by client.
        bases: The sha256 of the newest models, by round: what updates may be made from.
        last_round: For every client, the round whose model its last accepted update was made from.
        clients: Who was there.
        assigned: The combiner of every client that was assigned to one.
        removed: Whom administrators removed, by the digest of the session's key.
        min_clients: Of how many sites a round needs updates, if an administrator changed it.
        rejected: Of the round to go on with.
        again: How often tasks of that round were given again that had not failed, by client.
        participants: Who was given that round's model, if it was open.
        sealed: Of a combiner: whether the sum of that round's updates was made, and may be with
            the parent.
        best: The best round and its score.
        aggregation: What the aggregator put on record last. It stays when the run goes back: what
            was spent on a result that is lost, was spent.
        closed: The round closed last, if the run has not gone back since.
        lost: Models that were lost, in order.
        failed: Components that failed while the run went on, by component and event.
        outlying: Clients whose updates were unlike the others'.
        cross_site: How far cross-site validation is; None before it has begun.
        wall_seconds: How long the run had been worked on, by all servers together.
        past: What the run may have to go back to; None once nobody looks back any more.
    """

    digest: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    epoch: str = ""
    run_id: str = ""
    parent_run: str = ""
    seed: int = 0
    status: RunStatus = RunStatus.RUNNING
    reason: str = ""
    settled: bool = False
    round: int = 0
    model_sha256: str = ""
    state_sha256: str = ""
    accepted: dict[str, CountedUpdate] = field(default_factory=dict)
    bases: dict[int, str] = field(default_factory=dict)
    last_round: dict[str, int] = field(default_factory=dict)
    clients: dict[str, RecordedClient] = field(default_factory=dict)
    assigned: dict[str, str] = field(default_factory=dict)
    removed: dict[str, Removed] = field(default_factory=dict)
    min_clients: int | None = None
    rejected: list[Rejected] = field(default_factory=list)
    again: dict[str, int] = field(default_factory=dict)
    participants: tuple[str, ...] = ()
    sealed: bool = False
    best: tuple[int, float] | None = None
    aggregation: Mapping[str, Any] = field(default_factory=dict)
    closed: RoundInputs | None = None
    lost: list[LostModel] = field(default_factory=list)
    failed: dict[tuple[str, str], Failures] = field(default_factory=dict)
    outlying: dict[str, Outlying] = field(default_factory=dict)
    cross_site: CrossSiteState | None = None
    wall_seconds: float = 0.0
    past: Past | None = field(default_factory=Past)

    @property
    def resumable(self) -> bool:
        """Whether there is something left to do."""
        return self.status.resumable

    @property
    def untold(self) -> bool:
        """Whether the run is over and its clients may not have heard of that."""
        return not self.status.resumable and not self.settled

    def components_failed(self) -> list[Any]:
        """Return what the summary and the status say of components that failed."""
        return [failures.to_json() for failures in self.failed.values()]

    def outliers(self) -> list[Any]:
        """Return what the status says of clients whose updates were unlike the others'."""
        return [self.outlying[name].to_json() for name in sorted(self.outlying)]

    @property
    def known_past(self) -> Past:
        """What the run may have to go back to.

        Raises:
            LookupError: Nobody looks back any more.
        """
        if self.past is None:
            msg = "a run that goes on looks at none of its closed rounds"
            raise LookupError(msg)
        return self.past

    def failures(self) -> Counter[str]:
        """Return how often each client's work was rejected in `round`; a removal is no failure."""
        return Counter(one.client for one in self.rejected if one.is_failure)

    def last_turn(self) -> str | None:
        """Return whose update the round before was made of, where one was enough."""
        accepted = () if self.closed is None else self.closed.accepted
        return max(accepted, default=None)

    def out(self) -> frozenset[str]:
        """Return the names of removed clients under which nobody has come anew."""
        return frozenset(one.client for one in self.removed.values()) - self.clients.keys()
