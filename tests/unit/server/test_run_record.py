# SPDX-License-Identifier: Apache-2.0
"""A server that lives knows what one would that starts again just now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import JournalError
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.replay import closed_rounds, replay
from mmar_runner.server.records.run_record import RunRecord
from mmar_runner.server.records.run_state import RunState
from mmar_runner.storage.journal import Journal
from tests.updates import accepted

_REFUSED = {"client": "site-2", "round": 0, "reason": "NON_FINITE", "message": "a NaN"}
_FAILED = {"component": "the handler Hook", "event": "AFTER_AGGREGATION", "message": "503"}
_CLOSED = {"round": 0, "summary": {"round": 0, "model_sha256": "n"}, "wall_seconds": 1.5}
_EVENTS: list[tuple[Kind, dict[str, Any]]] = [
    (Kind.RUN_STARTED, {"digest": "d", "seed": 1, "round": 0, "model_sha256": "m", "epoch": "e"}),
    (Kind.CLIENT_REGISTERED, {"client": "site-1", "key_sha256": "k", "mmar_digest": "d"}),
    (Kind.ROUND_OPENED, {"round": 0, "participants": ["site-1", "site-2"]}),
    (Kind.UPDATE_ACCEPTED, accepted("site-2").to_json()),
    (Kind.UPDATE_ACCEPTED, accepted("site-1", metrics={"loss": 0.5}).to_json()),
    (Kind.UPDATE_REFUSED, _REFUSED),
    (Kind.TASK_FAILED, {**_REFUSED, "reason": "TASK_FAILED"}),
    (Kind.ROUND_CLOSED, {**_CLOSED, "best": {"round": 0, "score": 0.5}}),
    (Kind.BEST_MODEL, {"round": 0, "score": 0.5}),
    (Kind.UPDATE_ACCEPTED, accepted("site-1", 1).to_json()),
    (Kind.UPDATE_ACCEPTED, accepted("site-3", 1).to_json()),
    (Kind.MIN_CLIENTS_SET, {"number": 3, "round": 1}),
    (Kind.TASK_GIVEN_AGAIN, {"client": "site-1", "round": 1}),
    (Kind.TURN_PASSED, {"client": "site-3", "before": "site-1", "round": 1}),
    (Kind.CLIENT_REMOVED, {"client": "site-3", "key_sha256": "k3", "reason": "x", "round": 1}),
    (Kind.CLIENT_REMOVED, {"client": "site-4", "key_sha256": "k4", "reason": "", "round": None}),
    (Kind.CLIENT_LEFT, {"client": "site-1", "reason": "it quit"}),
    (Kind.COMPONENT_FAILED, {**_FAILED, "round": 0}),
    (Kind.COMPONENT_FAILED, {**_FAILED, "round": 1, "message": "504"}),
    (Kind.TASK_FAILED, {**_REFUSED, "round": 1, "reason": "TASK_FAILED"}),
    (Kind.RUN_ENDED, {"status": "failed", "reason": "why", "wall_seconds": 1.75}),
    (Kind.RUN_SETTLED, {"untold": []}),
    (Kind.RUN_RETRIED, {"round": 1, "wall_seconds": 1.75, "epoch": "f"}),
    (Kind.RUN_ENDED, {"status": "finished", "reason": "", "wall_seconds": 2.0}),
    (Kind.COMPONENT_FAILED, {**_FAILED, "round": None, "event": "END_RUN"}),
    (Kind.RUN_SETTLED, {"untold": []}),
]


@pytest.fixture
def record(tmp_path: Path) -> Iterator[RunRecord]:
    with Journal(tmp_path / "journal.db") as journal:
        yield RunRecord(journal, RunState())


def test_after_every_event_what_lives_is_what_is_on_record(record: RunRecord) -> None:
    for kind, data in _EVENTS:
        recorded = record.append(kind, data)
        last = record.state.accepted.get(str(data.get("client")))
        if kind is Kind.UPDATE_ACCEPTED:
            assert last is not None
            assert last.number is recorded  # whoever wants its bytes may have to wait
        recorded.result()
        again = replay(record.journal.events())
        assert _comparable(record.state) == _comparable(again), kind
    assert record.state.known_past.results == ["n"]
    assert record.state.known_past.bests == [(0, 0.5)]
    assert closed_rounds(record.journal.events()) == [_CLOSED["summary"]]
    often = {**_FAILED, "times": 2, "first_round": 0, "last_round": 1, "message": "504"}
    outside = {"times": 1, "first_round": None, "last_round": None}
    once = {**_FAILED, "event": "END_RUN", **outside}
    assert record.state.components_failed() == [often, once]


def test_what_lives_keeps_nothing_that_grows_with_rounds(record: RunRecord) -> None:
    record.state.past = None
    for kind, data in _EVENTS:
        record.append(kind, data)
    assert record.state.past is None
    assert (record.state.round, record.state.best) == (1, (0, 0.5))
    with pytest.raises(LookupError, match="looks at none of its closed rounds"):
        record.append(Kind.BEST_MODEL_LOST, {"instead": None})


def test_what_no_journal_takes_was_not_added(record: RunRecord) -> None:
    record.append(*_EVENTS[0])
    record.journal.close()
    with pytest.raises(JournalError):
        record.append(*_EVENTS[3])
    assert record.state.accepted == {}


def test_who_looks_at_a_round_goes_on_seeing_what_it_was_closed_with(record: RunRecord) -> None:
    for kind, data in _EVENTS[:3]:
        record.append(kind, data)
    of_the_round, rejected = record.state.accepted, record.state.rejected
    for kind, data in _EVENTS[3:10]:
        record.append(kind, data)
    assert list(of_the_round) == ["site-1"]
    assert [one.reason for one in rejected] == ["NON_FINITE", "TASK_FAILED"]
    assert list(record.state.accepted) == ["site-1"]
    assert record.state.accepted["site-1"].update.facts.round == 1
    assert record.state.rejected == []


def _comparable(state: RunState) -> dict[str, Any]:
    closed = state.closed
    held = {name: getattr(state, name) for name in RunState.__slots__ if name != "closed"}
    for name, counted in (("accepted", state.accepted), ("closed", closed and closed.accepted)):
        held[name] = {
            key: (one.update, one.number.result()) for key, one in (counted or {}).items()
        }
    return held
