# SPDX-License-Identifier: Apache-2.0
"""What a run did, as its page tells it: values that `mmar_runner.reporting.folding` fills."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from mmar_runner.reporting.points import Points


class Site:
    """What one client contributed to closed rounds, by round.

    Args:
        name: The client's.

    Attributes:
        samples: Samples that it trained on.
        weights: Its share in the round's model, as the aggregator weighs it.
        bytes: Sizes of its updates.
        wire: How many bytes they were on their way.
        lost: What their codec lost, as the site says.
        train: Seconds of training, as it says.
        upload: Seconds of uploading.
        stale: How many versions older than the round's the model was that it trained.
        metrics: What it measured, by name.
        refused: How many of its updates, or tasks, came to nothing.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._rounds = array("q")
        self.samples = Points(self._rounds)
        self.weights = Points(self._rounds)
        self.bytes = Points(self._rounds)
        self.wire = Points(self._rounds)
        self.lost = Points(self._rounds)
        self.train = Points(self._rounds)
        self.upload = Points(self._rounds)
        self.stale = Points(self._rounds)
        self.metrics: dict[str, Points] = {}
        self.refused = 0

    def add(
        self,
        at: int,
        *,
        samples: float,
        weight: float,
        size: float,
        wire: float,
        lost: float,
        train: float,
        upload: float,
        stale: float,
    ) -> None:
        """Add its contribution to a later round; NaN for what it does not say."""
        self._rounds.append(at)
        self.samples.values.append(samples)
        self.weights.values.append(weight)
        self.bytes.values.append(size)
        self.wire.values.append(wire)
        self.lost.values.append(lost)
        self.train.values.append(train)
        self.upload.values.append(upload)
        self.stale.values.append(stale)

    def cut(self, first: int) -> None:
        """Forget a round and what comes after it."""
        where = bisect_left(self._rounds, first)
        del self._rounds[where:]
        sent = (self.bytes, self.wire, self.lost)
        took = (self.train, self.upload, self.stale)
        for points in (self.samples, self.weights, *sent, *took):
            del points.values[where:]
        for points in self.metrics.values():
            points.cut(first)


@dataclass(slots=True)
class Round:
    """A closed round; numbers that nobody said are NaN.

    Attributes:
        number: Which.
        opened: When it was opened, in seconds since 1970; None if that is not on record.
        seconds: From its opening to its model.
        participants: How many clients it invited; None if that is not on record.
        updates: How many counted.
        samples: That these were trained on, all together.
        bytes: Of these, all together.
        rejected: How many came to nothing.
        metrics: Averaged over the clients, by name; and numbers that the aggregator said.
        model_sha256: Of its result, or empty.
        aggregation: What the aggregator says of it, in a line; or empty.
    """

    number: int
    opened: float | None
    seconds: float
    participants: int | None
    updates: int
    samples: float
    bytes: float
    rejected: int
    metrics: dict[str, float]
    model_sha256: str
    aggregation: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An update that does not count, or a task that failed at a site.

    Attributes:
        round: In which round.
        client: Whose.
        reason: The stable id of why.
        message: Why, in a sentence.
        task: True if it is a task that failed.
    """

    round: int
    client: str
    reason: str
    message: str
    task: bool


@dataclass(slots=True)
class Broken:
    """A component that failed at one kind of event while the run went on."""

    component: str
    event: str
    times: int
    first: int | None
    last: int | None
    message: str


@dataclass(slots=True)
class Odd:
    """A client whose updates were unlike the others'."""

    client: str
    times: int
    first: int
    last: int
    message: str


@dataclass(frozen=True, slots=True)
class Registered:
    """What is known of a client's registration.

    Attributes:
        digest: Of the MMAR that it says it has.
        certified: Whether it showed a certificate.
        host: From where it came.
    """

    digest: str
    certified: bool
    host: str


@dataclass(frozen=True, slots=True)
class Best:
    """The best model so far.

    Attributes:
        round: Whose result it is.
        score: How good.
        scored_in: The round in which that was measured; None if that is not on record.
    """

    round: int
    score: float
    scored_in: int | None


@dataclass(slots=True)
class Open:
    """The round that was under way when the last event was written."""

    number: int
    opened: float
    participants: int
    updates: int = 0


@dataclass(slots=True)
class History:
    """A whole run.

    Attributes:
        run_number: Its number; 0 if it is not known.
        mmar: The MMAR's name.
        digest: The MMAR's digest.
        effective: The digest of all that decides what the run does.
        settings: The ``--set`` values.
        plugins: Versions of plugins in use, by name.
        seed: The run's seed, if it is known.
        begun: When it began, in seconds since 1970.
        ended: When it ended; None if it has not.
        last: The time of the last event.
        status: How it stands: a word of `RunStatus`.
        reason: Why.
        wall_seconds: How long servers worked on it.
        peak_rss_bytes: The server's greatest memory; None if it is not known.
        rounds: Closed rounds, in order.
        sites: Clients with anything on record, by name.
        refusals: What did not count, in order; at most so many as `folding` keeps.
        reasons: How often each reason was given, for updates and for tasks.
        broken: Components that failed.
        odd_sites: Clients whose updates were unlike the others', by name.
        lost: Models that were lost; the run went back a round for each.
        again: When servers went on with the run, and how: ``resumed`` or ``retried``.
        registered: Clients that registered, by name.
        best: The best model, if one was chosen.
        open: The round under way, if there is one.
        every: Of how many rounds one is looked at for what sites measured: 1 unless it is long.
        events: How many events were read.
        odd: How many of them could not be understood.
    """

    run_number: int = 0
    mmar: str = ""
    digest: str = ""
    effective: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    begun: float | None = None
    ended: float | None = None
    last: float | None = None
    status: str = "running"
    reason: str = ""
    wall_seconds: float | None = None
    peak_rss_bytes: float | None = None
    rounds: list[Round] = field(default_factory=list)
    sites: dict[str, Site] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    reasons: dict[tuple[str, bool], int] = field(default_factory=dict)
    broken: dict[tuple[str, str], Broken] = field(default_factory=dict)
    odd_sites: dict[str, Odd] = field(default_factory=dict)
    lost: list[dict[str, Any]] = field(default_factory=list)
    again: list[tuple[float, str]] = field(default_factory=list)
    registered: dict[str, Registered] = field(default_factory=dict)
    best: Best | None = None
    open: Open | None = None
    every: int = 1
    events: int = 0
    odd: int = 0

    def site(self, name: str) -> Site:
        """Return what is known of a client; made if nothing was."""
        if name not in self.sites:
            self.sites[name] = Site(name)
        return self.sites[name]
