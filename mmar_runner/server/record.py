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
    RUN_ENDED = "run_ended"


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


@dataclass(slots=True)
class RunState:
    """What the journal's events add up to.

    Attributes:
        digest: The run's effective digest.
        seed: Its seed.
        status: ``running`` until a RUN_ENDED says otherwise.
        round: The round to go on with.
        model_sha256: Of that round's model.
        accepted: The accepted updates of that round, with their journal numbers.
        last_round: For every client, the last round an update of it was accepted in.
        clients: Who was there.
        rounds: Summaries of the closed rounds.
        rejected: Of the round to go on with.
        participants: Who was given that round's model, if it was open.
        best: The best round and its score.
        wall_seconds: How long the run had been worked on.
    """

    digest: str = ""
    seed: int = 0
    status: str = "running"
    round: int = 0
    model_sha256: str = ""
    accepted: dict[str, tuple[AcceptedUpdate, int]] = field(default_factory=dict)
    last_round: dict[str, int] = field(default_factory=dict)
    clients: dict[str, RecordedClient] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    participants: tuple[str, ...] = ()
    best: tuple[int, float] | None = None
    wall_seconds: float = 0.0

    @property
    def resumable(self) -> bool:
        """Whether there is something left to do."""
        return self.status in {"running", "stopped"}


def replay(events: Iterable[JournalEvent]) -> RunState:
    """Add up the events of a journal.

    Raises:
        JournalError: The journal does not begin with a run.
    """
    state = RunState()
    started = False
    for event in events:
        started = started or event.kind == Kind.RUN_STARTED
        apply = _APPLY.get(Kind(event.kind))
        if apply is not None:
            apply(state, event.data, event.seq)
    if not started:
        msg = "the journal holds no run"
        raise JournalError(msg, hint="start a new run with --new-run")
    return state


def _run_started(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.digest = data["digest"]
    state.seed = data["seed"]
    state.round = data["round"]
    state.model_sha256 = data["model_sha256"]


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
    state.accepted.clear()
    state.rejected.clear()
    state.participants = ()


def _best_model(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.best = (data["round"], data["score"])


def _run_ended(state: RunState, data: Mapping[str, Any], _seq: int) -> None:
    state.status = data["status"]
    state.wall_seconds = data["wall_seconds"]


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
    Kind.RUN_ENDED: _run_ended,
}
