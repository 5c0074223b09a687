# SPDX-License-Identifier: Apache-2.0
"""What a standing server is at: for people, and for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.admin_event import Event, Table, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmar_runner.interfaces.server_operations import ConnectedClient, Gathered, ServerState

PAUSED = "the queue is paused: `start server` or `resume_queue` lets it go on"
_DIGEST_LETTERS = 12
_KEYS = ("state", "run_number", "round", "mmar", "message")


def as_json(state: ServerState) -> dict[str, Any]:
    """Return a server's state for programs."""
    return {**asdict(state), "status": int(state.status), "status_name": state.status.name.lower()}


def shown(state: ServerState) -> Iterator[Event]:
    """Yield a server's state for people."""
    yield Table(("", ""), _server(state), "Server")
    if state.clients:
        columns = ("client", "session", "state", "last heard", "since", "last round", "updates")
        yield Table(columns, [_client(one) for one in state.clients], "Clients")
    if state.refusals:
        rows = [[name, why] for name, why in sorted(state.refusals.items())]
        yield Table(("client", "reason"), rows, "Who did not take the MMAR")
    yield from _failures(state)
    yield from _queue(state)


def _server(state: ServerState) -> list[list[str]]:
    number = "not set" if state.run_number is None else str(state.run_number)
    run = state.run or {}
    rows = [
        ["run number", number],
        ["server status", f"{int(state.status)} ({state.status.name.lower().replace('_', ' ')})"],
        ["MMAR", state.mmar or "none is deployed"],
        ["run", _run_text(run)],
        ["round", f"{_dash(run.get('round'))} of {_dash(run.get('num_rounds'))}"],
        ["clients", _client_count(state)],
        ["updates of the round", str(state.submitted_models)],
    ]
    if waiting := run.get("waiting_for"):
        rows.append(["waiting", f"since {run.get('since')}: {waiting}"])
    return rows


def _client(one: ConnectedClient) -> list[str]:
    return [
        one.name,
        one.session or "-",
        one.state or "connected",
        _clock(one.last_heard),
        _clock(one.since),
        _dash(one.last_round),
        str(one.contributions),
    ]


def _failures(state: ServerState) -> Iterator[Event]:
    if not state.failures:
        return
    cells = ("client", "round", "reason", "message")
    rows = [[str(one[key]) for key in cells] for one in state.failures]
    yield Table(cells, rows, "What came to nothing of late")
    if log := state.failures[-1]["log"]:
        yield Text("the newest one's log:\n" + "\n".join(f"  {line}" for line in log))


def _queue(state: ServerState) -> Iterator[Event]:
    if state.queue:
        cells = ("place", "mmar", "user", "queued")
        yield Table(cells, [[str(one[key]) for key in cells] for one in state.queue], "Queue")
        if state.paused:
            yield Text(PAUSED)
    if state.failed:
        keys = ("mmar", "user", "failed", "reason", "message")
        failed = [[str(one[key]) for key in keys] for one in state.failed]
        yield Table(keys, failed, "Could not begin when their turn came")


def _clock(moment: str) -> str:
    """Return a time of today without its date: the table is narrow enough for a terminal then."""
    today = f"{datetime.now(UTC):%Y-%m-%d}T"
    return moment.removeprefix(today)


def _client_count(state: ServerState) -> str:
    count = str(len(state.clients))
    if state.min_clients is None:  # nothing is deployed that would say how many there may be
        return count
    return f"{count} (min {state.min_clients}, max {state.max_clients})"


def brief(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """Return rows for people: of a digest its beginning, which tells it from all others."""
    return [
        [str(one[key] or "-")[: _DIGEST_LETTERS if key == "digest" else None] for key in columns]
        for one in found
    ]


def _run_text(run: Mapping[str, Any]) -> str:
    if not run:
        return "has not begun"
    return ": ".join(filter(None, (str(run["status"]), str(run.get("reason") or ""))))


def _dash(value: object) -> str:
    return "-" if value is None else str(value)


def client_table(gathered: Gathered) -> Table:
    """Return what clients say of themselves."""
    columns = ("client", "state", "run", "round", "MMAR", "message")
    rows = [
        [name, *(str(said.get(key) if said.get(key) is not None else "-") for key in _KEYS)]
        for name, said in sorted(gathered.replies.items())
    ]
    return Table(columns, rows, "What clients say")
