# SPDX-License-Identifier: Apache-2.0
"""What the journal of a run is told: the kinds of its events, and the values in them.

What they add up to is a `mmar_runner.server.records.run_state.RunState`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from mmar_runner.interfaces.aggregator import Contribution
from mmar_runner.interfaces.update import UpdateFacts, finite, whole

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """The kinds of journal events."""

    RUN_STARTED = "run_started"
    RUN_RESUMED = "run_resumed"
    RUN_RETRIED = "run_retried"
    CLIENT_REGISTERED = "client_registered"
    CLIENT_LEFT = "client_left"
    CLIENT_REMOVED = "client_removed"
    MIN_CLIENTS_SET = "min_clients_set"
    TASK_GIVEN_AGAIN = "task_given_again"
    CLIENT_ASSIGNED = "client_assigned"
    UPDATE_TAKEN_BACK = "update_taken_back"
    TURN_PASSED = "turn_passed"
    ROUND_OPENED = "round_opened"
    UPDATE_ACCEPTED = "update_accepted"
    UPDATE_REFUSED = "update_refused"
    TASK_FAILED = "task_failed"
    PARTIAL_MADE = "partial_made"
    PARTIAL_REOPENED = "partial_reopened"
    ROUND_CLOSED = "round_closed"
    OUTLIER = "outlier"
    BEST_MODEL = "best_model"
    CHECKPOINT_LOST = "checkpoint_lost"
    BEST_MODEL_LOST = "best_model_lost"
    COMPONENT_FAILED = "component_failed"
    CROSS_SITE_BEGUN = "cross_site_begun"
    CROSS_SITE_MODEL = "cross_site_model"
    CROSS_SITE_RESULT = "cross_site_result"
    CROSS_SITE_ENDED = "cross_site_ended"
    RUN_ENDED = "run_ended"
    RUN_SETTLED = "run_settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedUpdate:
    """One accepted update, as the journal keeps it.

    Attributes:
        client: Who sent it.
        facts: What was said of it, checked.
        sha256: Of its file, hex.
        seconds_upload: How long the transfer took.
        inline: True if the bytes lie in the journal, else in the spool.
        wire_bytes: How many bytes its file had on its way, in the attempt that arrived.
        base_round: The round whose model it was made from, if that is an older one than the round
            in which it counts; only where clients do not wait for each other.
    """

    client: str
    facts: UpdateFacts
    sha256: str
    seconds_upload: float
    inline: bool
    wire_bytes: int
    base_round: int | None = None

    @property
    def base(self) -> int:
        """The round whose model it was made from; its bytes lie under that number."""
        return self.facts.round if self.base_round is None else self.base_round

    @property
    def staleness(self) -> int:
        """How many versions older than the round's model that one was."""
        return self.facts.round - self.base

    @property
    def contribution(self) -> Contribution:
        """What an aggregator sees of it."""
        facts, stale = self.facts, self.staleness
        return Contribution(self.client, facts.num_samples, facts.kind, facts.reported, stale)

    @property
    def said(self) -> tuple[UpdateFacts, ...]:
        """What sites said of their updates: this one's own, or those of a combiner's parts."""
        return tuple(part.facts for part in self.facts.parts) or (self.facts,)

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """What an aggregator weighs: this one, or each of a combiner's parts."""
        return tuple(part.contribution for part in self.facts.parts) or (self.contribution,)

    def counted_in(self, round_number: int) -> AcceptedUpdate:
        """Return it as an update that counts in a round, which may be a later one than its own."""
        facts = replace(self.facts, round=round_number)
        return replace(
            self, facts=facts, base_round=self.base if self.base < round_number else None
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return {
            "client": self.client,
            "sha256": self.sha256,
            **self.facts.to_json(),
            "seconds_upload": self.seconds_upload,
            "inline": self.inline,
            "wire_bytes": self.wire_bytes,
            **({} if self.base_round is None else {"base_round": self.base_round}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AcceptedUpdate:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
            TypeError: Something has another type.
            ValueError: The kind of the update is unknown.
        """
        client, sha256, inline = data["client"], data["sha256"], data["inline"]
        if not (isinstance(client, str) and isinstance(sha256, str) and isinstance(inline, bool)):
            msg = f"no update is described by {client!r:.40}, {sha256!r:.70} and {inline!r:.40}"
            raise TypeError(msg)
        return cls(
            client=client,
            facts=UpdateFacts.from_json(data),
            sha256=sha256,
            seconds_upload=finite(data["seconds_upload"]),
            inline=inline,
            wire_bytes=whole(data.get("wire_bytes", data["bytes"])),  # older records lack it
            base_round=_base_round(data),
        )


def _base_round(data: Mapping[str, Any]) -> int | None:
    found = data.get("base_round")
    if found is not None and (type(found) is not int or not 0 <= found < data["round"]):
        msg = f"no update of round {data['round']} was made from the model of {found!r:.40}"
        raise TypeError(msg)
    return found


@dataclass(frozen=True, slots=True)
class Rejected:
    """What does not count: an update that is not usable, or a task that came to nothing.

    Attributes:
        client: Whose it was.
        round: In which round.
        reason: The stable id of why.
        message: Why, in a sentence.
        log: The last lines of the task's log, as far as its site let them go.
    """

    client: str
    round: int
    reason: str
    message: str
    log: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """Reason and sentence in one, as the summary and the run's own reason say them."""
        return f"{self.reason}: {self.message}"

    @property
    def is_failure(self) -> bool:
        """Whether its client failed; one that was removed did not."""
        return self.reason != "REMOVED"

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        facts = asdict(self)
        del facts["log"]
        return facts | ({"log": list(self.log)} if self.log else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rejected:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
        """
        log = tuple(data.get("log", ()))
        return cls(data["client"], data["round"], data["reason"], data["message"], log)


class Numbered(Protocol):
    """The number that an event has in the journal: a future of it, or `OnRecord`."""

    def result(self) -> int:
        """Return the number; what is not on record yet is waited for."""
        ...


@dataclass(frozen=True, slots=True)
class OnRecord:
    """The number of an event that is on record already."""

    number: int

    def result(self) -> int:
        """Return the number."""
        return self.number


@dataclass(frozen=True, slots=True)
class CountedUpdate:
    """An accepted update, and the journal's event that says so.

    Attributes:
        update: What was accepted.
        number: The event's, with which the bytes of a small update lie.
    """

    update: AcceptedUpdate
    number: Numbered


@dataclass(frozen=True, slots=True)
class Removed:
    """A client that an administrator removed from the run.

    Attributes:
        client: Its name.
        key_sha256: Of the key of the session that is over, hex.
        reason: Why, in the administrator's words.
        round: The round that its work left; None if it had none in it, or that was closing.
    """

    client: str
    key_sha256: str
    reason: str
    round: int | None

    @property
    def rejected(self) -> Rejected | None:
        """What the summary of the round says of it; None if it left none."""
        if self.round is None:
            return None
        return Rejected(self.client, self.round, "REMOVED", self.reason)

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Removed:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
        """
        return cls(data["client"], data["key_sha256"], data["reason"], data["round"])


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
