# SPDX-License-Identifier: Apache-2.0
"""Reads a run's folder: what is there and sound, and sentences about what is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import counted
from mmar_runner.errors import DiskFullError, JournalError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.reporting.folding import Folding
from mmar_runner.reporting.points import number
from mmar_runner.storage.bounded import opened, read_bounded
from mmar_runner.storage.journal_reading import JournalEvent, count_events, stream_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mmar_runner.reporting.history import History

#: Bytes of one line of events, of a summary that is all there is, and of one that is read beside
#: a journal: only for the server's greatest memory.
_LINE: Final = 64 << 20
_SUMMARY: Final = 256 << 20
_SUMMARY_BESIDE: Final = 8 << 20
_SMALL: Final = 16 << 20
_MOST_RUNS: Final = 1 << 31


def read_history(folder: Path, notes: list[str]) -> History:
    """Return what is on record of a run.

    The journal is the truth. If it cannot be read, or not to its end, the events' projection
    is taken if that says more, and if there is neither, the summary.

    Args:
        folder: The run's.
        notes: Gets a sentence about everything that cannot be read.
    """
    folding = _journal(folder / "journal.db", notes)
    if folding is None or notes:
        projected = _projection(folder / "events.jsonl", notes)
        if projected is not None and _more(projected, folding):
            notes.append("events.jsonl was read in place of the journal")
            folding = projected
    beside = folding is not None and folding.history.events > 0
    summary = _summary(folder / "summary.json", notes, _SUMMARY_BESIDE if beside else _SUMMARY)
    if folding is None or not beside:
        folding = _summarized(summary, notes)
    if summary is not None and folding.history.status != RunStatus.RUNNING:
        peak = number(summary.get("peak_rss_bytes"))
        folding.history.peak_rss_bytes = peak if peak > 0 else None
    if folding.history.odd:
        notes.append(
            f"{counted(folding.history.odd, 'event')} of {folding.history.events} could not be "
            "understood, and what they say is missing here"
        )
    return folding.history


def _journal(path: Path, notes: list[str]) -> Folding | None:
    folding = Folding()
    try:
        folding = Folding(count_events(path))
        folding.add(stream_events(path, passed_over=folding.passes_over))
    except (JournalError, DiskFullError) as error:
        if not path.exists():
            notes.append("there is no journal.db")
            return None
        notes.append(
            f"journal.db could not be read to its end, {counted(folding.history.events, 'event')} "
            f"were read: {_tail(error.message, path)}"
        )
    return folding


def _projection(path: Path, notes: list[str]) -> Folding | None:
    folding = Folding()
    try:
        folding.add(_lines(path, folding.history))
    except OSError as error:
        if path.exists():
            notes.append(f"events.jsonl could not be read: {error.strerror or error}")
        return None
    return folding


def _lines(path: Path, history: History) -> Iterator[JournalEvent]:
    with opened(path) as file:
        while line := file.readline(_LINE):
            event = _event(line)
            if event is None:
                history.events, history.odd = history.events + 1, history.odd + 1
            else:
                yield event


def _event(line: bytes) -> JournalEvent | None:
    try:
        value = json.loads(line)
        seq, time, kind, data = (value[key] for key in ("seq", "time", "kind", "data"))
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    sound = type(seq) is int and type(time) is float and isinstance(kind, str)
    return JournalEvent(seq, time, kind, data) if sound and isinstance(data, dict) else None


def _more(one: Folding, other: Folding | None) -> bool:
    events = 0 if other is None else other.history.events
    return one.history.events - one.history.odd > events


def _summary(path: Path, notes: list[str], limit: int) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > limit:
            return None
    except OSError:
        return None
    return read_object(path, notes, limit=limit)


def _summarized(summary: Mapping[str, Any] | None, notes: list[str]) -> Folding:
    """Return what a summary says; it does not say when, nor what every site measured."""
    folding = Folding()
    if summary is None:
        notes.append("there is no summary.json that can be read either: little is known")
        return folding
    notes.append("what follows is from summary.json alone: it has no times and no site's metrics")
    history, mmar = folding.history, summary.get("mmar")
    if isinstance(mmar, dict):
        history.mmar, history.digest = str(mmar.get("name", "")), str(mmar.get("digest", ""))
    told = summary.get("run_number")
    history.run_number = told if type(told) is int and 0 < told < _MOST_RUNS else 0
    status = str(summary.get("status"))
    history.status = status if status in set(map(str, RunStatus)) else str(RunStatus.RUNNING)
    history.reason = str(summary.get("reason") or "")
    wall = number(summary.get("wall_seconds"))
    history.wall_seconds = wall if wall >= 0 else None
    rounds = summary.get("rounds")
    for one in rounds if isinstance(rounds, list) else ():
        history.events += 1
        try:
            folding.close(one)
        except (LookupError, TypeError, AttributeError):
            history.odd += 1
    return folding


def read_object(path: Path, notes: list[str], *, limit: int = _SMALL) -> dict[str, Any] | None:
    """Return a JSON object that a file holds; None if there is no such file, or none in it.

    Args:
        path: The file.
        notes: Gets a sentence if it is there and cannot be read.
        limit: The most bytes that are read.
    """
    try:
        data = read_bounded(path, limit)
        value = json.loads(data) if len(data) <= limit else None
    except FileNotFoundError:
        return None
    except OSError as error:
        notes.append(f"{path.name} could not be read: {error.strerror or error}")
        return None
    except (ValueError, RecursionError) as error:
        notes.append(f"{path.name} could not be read: {error}")
        return None
    if not isinstance(value, dict):
        notes.append(f"{path.name} could not be read: it is no JSON object, or too large")
        return None
    return value


def _tail(message: str, path: Path) -> str:
    """Return a sentence without the path with which it begins."""
    return message.removeprefix(f"{path}: ")
