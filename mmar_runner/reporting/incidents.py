# SPDX-License-Identifier: Apache-2.0
"""What did not go as planned in a run, and who was trusted with it, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.reporting.curves import metric_names
from mmar_runner.reporting.tables import (
    NOTHING,
    Table,
    bytes_text,
    count_text,
    natural,
    number_text,
    seconds_text,
    table,
    time_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.reporting.history import History
    from mmar_runner.reporting.trust import Trust

_METRICS: Final = 3
_SHORT: Final = 12
#: Refusals that every run may end with: a client asks once more, and all is done.
_USUAL: Final = frozenset({("GetValidationModels", "CROSS_SITE_CLOSED")})
_WHATS: Final = {True: "task that failed at its site", False: "update"}


def incident_tables(history: History) -> Iterator[Table]:
    """Yield what did not count, failed or was lost; nothing of what did not happen."""
    if history.reasons:
        counts = sorted(history.reasons.items(), key=lambda one: (-one[1], one[0]))
        rows = [(reason, _WHATS[task], count_text(times)) for (reason, task), times in counts]
        columns = [("Reason", "t"), ("What", "t"), ("How often", "n")]
        yield table("What did not count, by reason", columns, rows)
        yield table(
            "What did not count, one by one",
            [("Round", "n"), ("Site", "t"), ("Reason", "t"), ("Why", "m")],
            [(str(r.round), r.client, r.reason, r.message) for r in history.refusals],
        )
    if history.broken:
        yield table(
            "Components that failed while the run went on",
            [("Component", "m"), ("At", "t"), ("Times", "n"), ("Rounds", "n"), ("Said last", "m")],
            [
                (
                    one.component,
                    one.event,
                    count_text(one.times),
                    _span(one.first, one.last),
                    one.message,
                )
                for one in history.broken.values()
            ],
        )
    if history.odd_sites:
        yield table(
            "Sites whose updates were unlike the others'",
            [("Site", "t"), ("Times", "n"), ("Rounds", "n"), ("Said last", "m")],
            [
                (one.client, count_text(one.times), _span(one.first, one.last), one.message)
                for one in history.odd_sites.values()
            ],
        )
    if history.lost:
        yield table(
            "Models that were lost; the run went back a round for each",
            [("Round", "n"), ("File", "t"), ("What was wrong", "t"), ("Updates kept", "n")],
            [
                (
                    str(one.get("round")),
                    str(one.get("file")),
                    str(one.get("reason")),
                    count_text(len(one.get("kept") or ())),
                )
                for one in history.lost
            ],
        )
    if history.again:
        rows_again = [(time_text(at), word) for at, word in history.again]
        yield table(
            "When a server took the run up again", [("When", "d"), ("How", "t")], rows_again
        )


def _span(first: int | None, last: int | None) -> str:
    if first is None or last is None:
        return NOTHING
    return str(first) if first == last else f"{first} to {last}"


def round_tables(history: History) -> Iterator[Table]:
    """Yield one row for every round, and the digests of their models."""
    if not history.rounds:
        return
    names = metric_names(history)[:_METRICS]
    columns = [
        ("Round", "n"),
        ("Began", "d"),
        ("Took", "n"),
        ("Counted", "n"),
        ("Samples", "n"),
        ("Received", "n"),
        ("Did not count", "n"),
        *((name, "n") for name in names),
    ]
    rows = [
        (
            str(one.number),
            time_text(one.opened),
            seconds_text(one.seconds),
            str(one.updates)
            if one.participants is None
            else f"{one.updates} of {one.participants}",
            count_text(one.samples),
            bytes_text(one.bytes),
            count_text(one.rejected),
            *(number_text(one.metrics.get(name)) for name in names),
        )
        for one in history.rounds
    ]
    yield table("Every round", columns, rows)
    said = [(str(one.number), one.aggregation) for one in history.rounds if one.aggregation]
    if said:
        columns = [("Round", "n"), ("Facts", "m")]
        yield table("What the aggregator says of its rounds", columns, said, folded=True)
    digests = [(str(one.number), one.model_sha256 or NOTHING) for one in history.rounds]
    columns = [("Round", "n"), ("sha256 of its result", "c")]
    yield table("Models, by their digest", columns, digests, folded=True)


def trust_tables(history: History, trust: Trust) -> Iterator[Table]:
    """Yield what became of every site, and what was refused."""
    names = sorted(history.registered.keys() | trust.sites.keys(), key=natural)
    if names:
        columns = [("Site", "t"), ("Answer", "t"), ("When", "d"), ("MMAR", "t"), ("Why", "m")]
        rows = [_site_row(name, history, trust) for name in names]
        if not any(row[-1] for row in rows):
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        yield table("Sites that answered", columns, rows)
    refused = {which: n for which, n in trust.refusals.items() if which not in _USUAL}
    if refused:
        counts = sorted(refused.items(), key=lambda one: (-one[1], one[0]))
        yield table(
            "Calls that the server refused while the run went on",
            [("Call", "t"), ("Reason", "t"), ("How often", "n")],
            [(call, reason or NOTHING, count_text(n)) for (call, reason), n in counts],
        )


def _site_row(name: str, history: History, trust: Trust) -> tuple[str, ...]:
    registered, answer = history.registered.get(name), trust.sites.get(name)
    word, when, why = "registered", NOTHING, ""
    if answer is not None:
        when = answer.joined.replace("T", " ")[:19] + " UTC" if answer.joined else NOTHING
        if answer.declined and not answer.joined:
            word, why = f"declined [{answer.declined}]", answer.message
        elif not answer.joined and answer.refused:
            word = f"refused [{answer.refused}]"
    mmar = NOTHING
    if registered is not None:
        same = registered.digest == history.digest
        mmar = "the server's" if same else f"another: {registered.digest[:_SHORT]}"
    return (name, word, when, mmar, why)
