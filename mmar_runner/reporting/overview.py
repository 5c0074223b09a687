# SPDX-License-Identifier: Apache-2.0
"""The head of a page: what a run was, in a sentence, in facts and in a few figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted, some_of
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.reporting.curves import deciding_metric
from mmar_runner.reporting.tables import (
    NOTHING,
    bytes_text,
    count_text,
    number_text,
    seconds_text,
    time_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.reporting.history import History
    from mmar_runner.reporting.trust import Trust

_MOST_PLUGINS: Final = 12


@dataclass(frozen=True, slots=True)
class Fact:
    """A name, what is said, and a remark; `code` for digests."""

    name: str
    value: str
    note: str = ""
    code: bool = False


def contributors(history: History) -> int:
    """Return how many sites had an update that counts."""
    return sum(1 for site in history.sites.values() if site.weights)


def lead(history: History, waiting_for: str) -> str:
    """Return the run in a sentence or two."""
    sites, rounds = contributors(history), len(history.rounds)
    who = counted(sites, "site") if sites else "No site"
    done = f"{who} trained one model together in {counted(rounds, 'round')}."
    if not rounds:
        done = "No round is finished."
    took = seconds_text(history.wall_seconds)
    after = "" if history.wall_seconds is None else f" after {took}"
    ends = {
        RunStatus.FINISHED: f"The run finished{after}.",
        RunStatus.FAILED: f"The run failed{after}.",
        RunStatus.STOPPED: f"The run was stopped{after} and can be resumed.",
    }
    end = ends.get(RunStatus(history.status))
    if end is None:
        end = f"It is not finished: this is how it stood at {time_text(history.last)}."
        if history.open is not None:
            now = history.open
            end += (
                f" Round {now.number} is under way, with {now.updates} of "
                f"{counted(now.participants, 'update')}."
            )
        if waiting_for:
            end += f" It waits: {waiting_for}."
    return f"{done} {end}"


def facts(history: History, trust: Trust) -> Iterator[Fact]:
    """Yield what identifies the run."""
    number = "not known" if not history.run_number else str(history.run_number)
    yield Fact("Run", number)
    if trust.signature is not None:
        yield Fact("Project", trust.signature.project)
    yield Fact("MMAR", history.mmar or "not known")
    yield Fact("Began", time_text(history.begun))
    if history.ended is not None:
        yield Fact("Ended", time_text(history.ended))
    elif history.last is not None:
        yield Fact("Last record", time_text(history.last))
    yield Fact("Servers worked on it for", seconds_text(history.wall_seconds))
    yield Fact("Connections", _connections(history))
    yield Fact("Seed", NOTHING if history.seed is None else str(history.seed))
    if history.peak_rss_bytes is not None:
        yield Fact("Server's greatest memory", bytes_text(history.peak_rss_bytes))
    plugins = [f"{name} {version[:24]}".strip() for name, version in history.plugins.items()]
    if plugins:
        yield Fact("Plugins of the server", some_of(sorted(plugins), _MOST_PLUGINS))
    if history.digest:
        yield Fact("Digest of the MMAR", history.digest, code=True)
    if history.effective:
        remark = "of the MMAR, --set values and plugin versions together"
        yield Fact("Effective digest", history.effective, remark, code=True)


def _connections(history: History) -> str:
    known = list(history.registered.values())
    if not known:
        return "not known: no client registered"
    certified = sum(1 for one in known if one.certified)
    if certified == len(known):
        return "start-up kits: TLS, every client with a certificate"
    if certified:
        return f"start-up kits, with {certified} of {counted(len(known), 'client')} on record"
    if all(one.host == "unix" for one in known):
        return "a simulation on one machine, without certificates"
    return "insecure: without certificates, on one machine"


def figures(history: History, num_rounds: int | None) -> Iterator[Fact]:
    """Yield the few numbers that people ask for first."""
    rounds = len(history.rounds)
    of = "" if num_rounds is None else f"of {_planned(history, num_rounds)} planned"
    yield Fact("Rounds", count_text(rounds), of)
    yield Fact("Sites", count_text(contributors(history)), _registered(history))
    best, metric = history.best, deciding_metric(history)
    if best is not None:
        remark = f"{metric}, " if metric else ""
        remark += f"the result of round {best.round}"
        yield Fact("Best score", number_text(best.score), remark)
    if history.rounds:
        last = history.rounds[-1]
        yield Fact("Samples", count_text(last.samples), f"in round {last.number}")
    updates = sum(one.updates for one in history.rounds)
    refused = sum(history.reasons.values())
    yield Fact("Updates", count_text(updates), f"{refused:,} did not count")
    yield Fact("Received", bytes_text(sum(one.bytes for one in history.rounds)), "in updates")
    yield Fact("Time", seconds_text(history.wall_seconds), "in all")


def _planned(history: History, num_rounds: int) -> int:
    first = history.rounds[0].number if history.rounds else 0
    return max(0, num_rounds - first)


def _registered(history: History) -> str:
    known = len(history.registered)
    return f"of {known:,} that registered" if known else ""
