# SPDX-License-Identifier: Apache-2.0
"""Adds up a journal's events for a page: whatever is in them, as far as it can be understood.

`server.records.replay` adds them up for a server that goes on with the run, and refuses what
it does not understand. A page shows what is there: an event that is odd is counted and left out.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.federation.run_status import RunStatus
from mmar_runner.reporting.history import (
    Best,
    Broken,
    History,
    Odd,
    Open,
    Refusal,
    Registered,
    Round,
)
from mmar_runner.reporting.points import Points, number
from mmar_runner.server.records.record import Kind, Removed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mmar_runner.storage.journal_reading import JournalEvent

#: Refusals that are kept one by one; all are counted.
_MOST_REFUSALS: Final = 2_000
#: Different things of one sort that are kept: a metric's names, clients, reasons.
_MOST_NAMES: Final = 100_000
_MOST_METRICS: Final = 64
#: Events that are read one by one in a few seconds.
_MOST_EVENTS: Final = 100_000
#: Letters of what an aggregator says of a round that are shown.
_LONGEST_LINE: Final = 400
_UPDATE: Final = str(Kind.UPDATE_ACCEPTED)
_WORDS: Final = frozenset(map(str, RunStatus))


class Folding:
    """A history that grows by one event after the other.

    Args:
        events: About how many there are. Of very many updates those of some rounds are passed
            over: what is said of them counts, but not what each site measured.

    Attributes:
        history: What the events so far add up to.
    """

    def __init__(self, events: int = 0) -> None:
        self.history = History(every=max(1, round(events / _MOST_EVENTS)))
        self._updates: dict[str, Mapping[str, Any]] = {}
        self._before: dict[str, Mapping[str, Any]] = {}
        self._bests: list[Best] = []
        self._apply = {
            Kind.RUN_STARTED: self._run_started,
            Kind.RUN_RESUMED: self._run_resumed,
            Kind.RUN_RETRIED: self._run_resumed,
            Kind.CLIENT_REGISTERED: self._client_registered,
            Kind.CLIENT_REMOVED: self._client_removed,
            Kind.ROUND_OPENED: self._round_opened,
            Kind.UPDATE_ACCEPTED: self._update_accepted,
            Kind.UPDATE_TAKEN_BACK: self._taken_back,
            Kind.UPDATE_REFUSED: self._refused,
            Kind.TASK_FAILED: self._refused,
            Kind.ROUND_CLOSED: self._round_closed,
            Kind.BEST_MODEL: self._best_model,
            Kind.BEST_MODEL_LOST: self._best_model_lost,
            Kind.CHECKPOINT_LOST: self._checkpoint_lost,
            Kind.COMPONENT_FAILED: self._component_failed,
            Kind.OUTLIER: self._outlier,
            Kind.RUN_ENDED: self._run_ended,
        }
        self._silent = {
            *(Kind.CLIENT_LEFT, Kind.RUN_SETTLED, Kind.CLIENT_ASSIGNED),
            *(Kind.PARTIAL_MADE, Kind.PARTIAL_REOPENED),
            *(Kind.MIN_CLIENTS_SET, Kind.TASK_GIVEN_AGAIN, Kind.TURN_PASSED),
            *(Kind.CROSS_SITE_BEGUN, Kind.CROSS_SITE_MODEL),
            *(Kind.CROSS_SITE_RESULT, Kind.CROSS_SITE_ENDED),
        }

    def add(self, events: Iterable[JournalEvent]) -> None:
        """Add events, in order."""
        for event in events:
            self.history.events += 1
            self.history.last = event.time
            handle = self._apply.get(event.kind)  # type: ignore[call-overload]
            if handle is None:
                self.history.odd += event.kind not in self._silent
                continue
            try:
                handle(event)
            except (LookupError, TypeError, ValueError, AttributeError):
                self.history.odd += 1

    def passes_over(self, kind: str) -> bool:
        """Return True if the next event need not be read; it is counted."""
        now = self.history.open
        if kind != _UPDATE or now is None or now.number % self.history.every == 0:
            return False
        self.history.events += 1
        now.updates += 1
        return True

    def _run_started(self, event: JournalEvent) -> None:
        data, history = event.data, self.history
        history.begun = event.time
        history.run_number = _whole(data["run_number"])
        history.mmar = str(data["mmar"])
        history.effective = str(data["digest"])
        seed = data.get("seed")
        history.seed = seed if type(seed) is int else None
        identity = data.get("identity", {})
        history.digest = str(identity.get("mmar", ""))
        history.settings = dict(identity.get("settings", {}))
        history.plugins = {str(k): str(v) for k, v in identity.get("plugins", {}).items()}

    def _run_resumed(self, event: JournalEvent) -> None:
        history = self.history
        history.status, history.reason, history.ended = str(RunStatus.RUNNING), "", None
        word = "retried" if event.kind == Kind.RUN_RETRIED else "resumed"
        history.again.append((event.time, word))

    def _client_registered(self, event: JournalEvent) -> None:
        data, known = event.data, self.history.registered
        name = str(data["client"])
        if name in known or len(known) < _MOST_NAMES:
            certified = bool(data.get("fingerprint"))
            host = str(data.get("host", ""))
            known[name] = Registered(str(data["mmar_digest"]), certified, host)

    def _round_opened(self, event: JournalEvent) -> None:
        at, invited = _whole(event.data["round"]), len(event.data["participants"])
        self.history.open = Open(at, event.time, invited, len(self._updates))

    def _update_accepted(self, event: JournalEvent) -> None:
        self._updates[str(event.data["client"])] = event.data
        if self.history.open is not None:
            self.history.open.updates += 1

    def _taken_back(self, event: JournalEvent) -> None:
        taken = self._updates.pop(str(event.data["client"]), None)
        if taken is not None and self.history.open is not None:
            self.history.open.updates -= 1

    def _refused(self, event: JournalEvent) -> None:
        data = event.data
        told = (str(data["client"]), str(data["reason"]), str(data["message"]))
        self._refuse(_whole(data["round"]), *told, task=event.kind == Kind.TASK_FAILED)

    def _client_removed(self, event: JournalEvent) -> None:
        """What an administrator takes out of the open round does not count in it."""
        removed = Removed.from_json(event.data).rejected
        if removed is not None:
            self._refuse(
                *(_whole(removed.round), str(removed.client), removed.reason),
                str(removed.message),
                task=False,
            )

    def _refuse(self, at: int, client: str, reason: str, message: str, *, task: bool) -> None:
        history = self.history
        if not task and self._updates.pop(client, None) is not None and history.open is not None:
            history.open.updates -= 1
        if (reason, task) in history.reasons or len(history.reasons) < _MOST_NAMES:
            history.reasons[reason, task] = history.reasons.get((reason, task), 0) + 1
        if len(history.refusals) < _MOST_REFUSALS:
            history.refusals.append(Refusal(at, client, reason, message, task))
        if client in history.sites or len(history.sites) < _MOST_NAMES:
            history.site(client).refused += 1

    def _round_closed(self, event: JournalEvent) -> None:
        summary, history = event.data["summary"], self.history
        self.close(summary)
        history.wall_seconds = _or_none(event.data.get("wall_seconds"))
        best = event.data.get("best")
        if best is not None:
            self._best(best, history.rounds[-1].number)

    def close(self, summary: Mapping[str, Any]) -> None:
        """Add a closed round, as a summary describes it.

        Raises:
            LookupError: Something is not there.
            TypeError: Something has another type.
            AttributeError: Likewise.
        """
        at, history = _whole(summary["round"]), self.history
        opened = history.open if history.open and history.open.number == at else None
        contributions = summary["contributions"]
        samples = size = 0.0
        left_out = _left_out(summary.get("aggregation"))
        for one in contributions:
            more_samples, more_bytes = self._contributed(
                at, one, left_out=left_out(str(one["client"]))
            )
            samples, size = samples + more_samples, size + more_bytes
        history.rounds.append(
            Round(
                number=at,
                opened=None if opened is None else opened.opened,
                seconds=number(summary["seconds"]),
                participants=None if opened is None else opened.participants,
                updates=len(contributions),
                samples=samples,
                bytes=size,
                rejected=len(summary["rejected"]),
                metrics=_said(summary.get("aggregation")) | _metrics(summary["metrics"]),
                model_sha256=str(summary["model_sha256"] or ""),
                aggregation=_line(summary.get("aggregation") or {}),
            )
        )
        self._before, self._updates, history.open = self._updates, {}, None

    def _contributed(
        self, at: int, one: Mapping[str, Any], *, left_out: bool
    ) -> tuple[float, float]:
        """Add one contribution; return its samples and bytes, 0 for what is no number.

        One that the aggregator has left out, as Krum does, has no weight in the model.
        """
        name = str(one["client"])
        samples, size = number(one["num_samples"]), number(one["bytes"])
        site = self.history.sites.get(name)
        if site is None and len(self.history.sites) < _MOST_NAMES:
            site = self.history.site(name)
        if site is not None:
            site.add(
                at,
                samples=samples,
                weight=0.0 if left_out else number(one["weight"]),
                size=size,
                wire=number(one.get("wire_bytes", one["bytes"])),  # older records lack it
                lost=number(one.get("codec_error", 0.0)),
                train=number(one["seconds_train"]),
                upload=number(one["seconds_upload"]),
                stale=number(one.get("staleness", 0)),
            )
            if (told := self._updates.get(name)) is not None:
                _measured(site.metrics, at, told)
        return (0.0 if math.isnan(samples) else samples), (0.0 if math.isnan(size) else size)

    def _best_model(self, event: JournalEvent) -> None:
        rounds = self.history.rounds
        self._best(event.data, rounds[-1].number if rounds else None)

    def _best(self, data: Mapping[str, Any], scored_in: int | None) -> None:
        best = Best(_whole(data["round"]), number(data["score"]), scored_in)
        if not self._bests or self._bests[-1].round != best.round:
            self._bests.append(best)
        self.history.best = self._bests[-1]

    def _best_model_lost(self, event: JournalEvent) -> None:
        instead = event.data["instead"]
        while self._bests and self._bests[-1].round != instead:
            self._bests.pop()
        self.history.best = self._bests[-1] if self._bests else None

    def _checkpoint_lost(self, event: JournalEvent) -> None:
        """Go back one round: its result is no more, and what is said of it neither."""
        data, history = event.data, self.history
        again = _whole(data["round"]) - 1
        while history.rounds and history.rounds[-1].number >= again:
            history.rounds.pop()
        for site in history.sites.values():
            site.cut(again)
        kept = set(map(str, data["kept"]))
        self._updates = {name: one for name, one in self._before.items() if name in kept}
        history.lost.append(dict(data))

    def _component_failed(self, event: JournalEvent) -> None:
        data, broken = event.data, self.history.broken
        which = (str(data["component"]), str(data["event"]))
        at, message = data.get("round"), str(data["message"])
        at = at if type(at) is int else None
        if which in broken:
            known = broken[which]
            known.times, known.last, known.message = known.times + 1, at, message
        elif len(broken) < _MOST_NAMES:
            broken[which] = Broken(*which, 1, at, at, message)

    def _outlier(self, event: JournalEvent) -> None:
        data, odd = event.data, self.history.odd_sites
        name, at, message = str(data["client"]), _whole(data["round"]), str(data["message"])
        if name in odd:
            known = odd[name]
            known.times, known.last, known.message = known.times + 1, at, message
        elif len(odd) < _MOST_NAMES:
            odd[name] = Odd(name, 1, at, at, message)

    def _run_ended(self, event: JournalEvent) -> None:
        data, history = event.data, self.history
        status = str(data["status"])
        if status not in _WORDS:
            raise ValueError(status)
        history.status, history.reason, history.ended = status, str(data["reason"]), event.time
        history.wall_seconds = _or_none(data.get("wall_seconds"))


def _measured(metrics: dict[str, Points], at: int, told: Mapping[str, Any]) -> None:
    """Add what a site measured; of two with one name that of the validation, as the mean has it."""
    for name, value in (told["metrics"] | told["validation"]).items():
        points = metrics.get(name)
        if points is None:
            if len(metrics) >= _MOST_METRICS:
                continue
            points = metrics[name] = Points()
        points.rounds.append(at)
        points.values.append(number(value))


def _left_out(aggregation: object) -> Callable[[str], bool]:
    """Return what tells whose update an aggregator that chooses has not chosen."""
    chosen = aggregation.get("chosen") if isinstance(aggregation, dict) else None
    if not isinstance(chosen, list):
        return lambda _: False
    names = set(map(str, chosen))
    return lambda name: name not in names


def _said(aggregation: object) -> dict[str, float]:
    """Return what of an aggregator's facts is drawn beside the metrics: spent privacy."""
    facts = aggregation if isinstance(aggregation, dict) else {}
    return _metrics({name: facts[name] for name in facts if str(name).endswith("epsilon")})


def _metrics(values: Mapping[str, Any]) -> dict[str, float]:
    found = {str(name): number(value) for name, value in list(values.items())[:_MOST_METRICS]}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError(value)
    return value


def _or_none(value: object) -> float | None:
    found = number(value)
    return None if math.isnan(found) else found


def _line(facts: Mapping[str, Any]) -> str:
    """Return what an aggregator says of a round in one line, as much as fits into it."""
    said = ", ".join(f"{name}: {json.dumps(value)}" for name, value in facts.items())
    return said if len(said) <= _LONGEST_LINE else f"{said[:_LONGEST_LINE]} ..."
