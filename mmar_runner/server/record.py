# SPDX-License-Identifier: Apache-2.0
"""What the journal of a run says, typed: values to write and the state read back.

The journal is a list of events; the state of a run is what they add up to. Nothing
else is consulted when a server starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import JournalError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind

if TYPE_CHECKING:
    from mmar_runner.storage.journal import JournalEvent


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


@dataclass(slots=True)
class RecordedClient:
    """A client that was registered when the journal ends."""

    name: str
    key_sha256: str
    mmar_digest: str
    fingerprint: str
    host: str


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
        status: ``running`` until a RUN_ENDED says otherwise.
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
    status: str = "running"
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
        return self.status in {"running", "stopped"}

    @property
    def untold(self) -> bool:
        """Whether the run is over and its clients may not have heard of that."""
        return self.status in {"finished", "failed"} and not self.settled

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


def replay(events: Iterable[JournalEvent]) -> RunState:
    """Add up the events of a journal.

    Raises:
        JournalError: The journal does not begin with a run, a later version wrote it, or an
            event lacks what it must say.
    """
    state = RunState()
    started = False
    for event in events:
        if event.kind not in _APPLY:
            msg = f"the journal holds {event.kind!r}, which this version does not know"
            hint = "go on with the version that wrote it, or start a new run with --new-run"
            raise JournalError(msg, hint=hint)
        started = started or event.kind == Kind.RUN_STARTED
        _replayed(state, event)
    if not started:
        msg = "the journal holds no run"
        raise JournalError(msg, hint="start a new run with --new-run")
    return state


def _replayed(state: RunState, event: JournalEvent) -> None:
    try:
        apply_event(state, Kind(event.kind), event.data, event.seq)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        msg = f"the journal's event {event.seq}, {event.kind}, cannot be understood: {error!r}"
        hint = "put the right journal.db back, or begin another run with --new-run"
        raise JournalError(msg, hint=hint) from error


def apply_event(state: RunState, kind: Kind, data: Mapping[str, Any], seq: int) -> None:
    """Add one event to a state."""
    _APPLY[kind](state, data, seq)


def _run_started(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.digest = data["digest"]
    state.identity = data.get("identity", {})
    state.epoch = state.run_id = data.get("epoch", "")
    state.seed = data["seed"]
    state.round = data["round"]
    state.model_sha256 = state.initial_sha256 = data["model_sha256"]


def _run_resumed(state: RunState, _data: Mapping[str, Any], _seq: int) -> None:
    state.status = "running"


def _client_registered(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    client = RecordedClient(
        data["client"],
        data["key_sha256"],
        data["mmar_digest"],
        data.get("fingerprint", ""),
        data.get("host", ""),
    )
    state.clients[client.name] = client


def _client_left(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.clients.pop(data["client"], None)


def _round_opened(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.participants = tuple(data["participants"])


def _update_accepted(state: RunState, data: Mapping[str, Any], seq: int) -> None:
    update = AcceptedUpdate(**data)
    state.accepted[update.client] = (update, seq)
    state.last_round[update.client] = update.round


def _update_refused(state: RunState, data: Mapping[str, Any], seq: int) -> None:
    # One that had been accepted was withdrawn: it could not be aggregated.
    if state.accepted.pop(data["client"], None) is not None:
        del state.last_round[data["client"]]
    _rejected(state, data, seq)


def _rejected(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    reason = f"{data['reason']}: {data['message']}"
    state.rejected.append({"client": data["client"], "reason": reason})


def _round_closed(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.rounds.append(dict(data["summary"]))
    state.round = data["round"] + 1
    state.model_sha256 = data["summary"]["model_sha256"]
    state.wall_seconds = data["wall_seconds"]
    if data.get("best") is not None:
        _best_model(state, data["best"], _seq)
    state.closed = RoundInputs(state.accepted, state.rejected, state.participants)
    state.accepted, state.rejected, state.participants = {}, [], ()


def _best_model(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    found = (data["round"], data["score"])
    if state.best != found:
        state.bests.append(found)


def _best_model_lost(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    while state.best is not None and state.best[0] != data["instead"]:
        state.bests.pop()


def _checkpoint_lost(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    """Go back one round: its result is no more, and what was made from that neither."""
    lost = LostModel.from_json(data)
    closed = state.closed or RoundInputs()
    kept = {name: closed.accepted[name] for name in lost.kept}
    still = {name: number for name, number in state.last_round.items() if number < lost.round - 1}
    state.last_round = still | {name: update.round for name, (update, _) in kept.items()}
    before = state.model_before
    state.rounds.pop()
    state.round, state.model_sha256 = lost.round - 1, before or ""
    state.accepted, state.participants = kept, closed.participants
    state.rejected = closed.rejected if kept else []
    state.closed = None
    state.epoch = data["epoch"]
    state.lost.append(lost)


def _run_ended(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.status, state.reason = data["status"], data["reason"]
    state.wall_seconds = data["wall_seconds"]


def _run_settled(state: RunState, _data: Mapping[str, Any], _seq: int) -> None:
    state.settled = True


_APPLY = {
    Kind.RUN_STARTED: _run_started,
    Kind.RUN_RESUMED: _run_resumed,
    Kind.CLIENT_REGISTERED: _client_registered,
    Kind.CLIENT_LEFT: _client_left,
    Kind.ROUND_OPENED: _round_opened,
    Kind.UPDATE_ACCEPTED: _update_accepted,
    Kind.UPDATE_REFUSED: _update_refused,
    Kind.TASK_FAILED: _rejected,
    Kind.ROUND_CLOSED: _round_closed,
    Kind.BEST_MODEL: _best_model,
    Kind.BEST_MODEL_LOST: _best_model_lost,
    Kind.CHECKPOINT_LOST: _checkpoint_lost,
    Kind.RUN_ENDED: _run_ended,
    Kind.RUN_SETTLED: _run_settled,
}
