# SPDX-License-Identifier: Apache-2.0
"""What a journal's events add up to."""

from __future__ import annotations

from typing import Any

import pytest

from mmar_runner.errors import JournalError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.server.records.record import Kind, Rejected
from mmar_runner.server.records.replay import replay, unrecorded_seconds
from mmar_runner.server.records.run_state import RunState
from mmar_runner.storage.journal import JournalEvent
from tests import updates

STARTED = {"digest": "d", "seed": 1, "round": 0, "model_sha256": "m"}


def replayed(*events: tuple[Kind, dict[str, Any]]) -> RunState:
    kinds = [(Kind.RUN_STARTED, STARTED), *events]
    return replay(JournalEvent(n, 0.0, kind, data) for n, (kind, data) in enumerate(kinds, 1))


def accepted(client: str) -> tuple[Kind, dict[str, Any]]:
    return Kind.UPDATE_ACCEPTED, updates.accepted(client).to_json()


def test_an_update_that_was_withdrawn_is_not_accepted_any_more() -> None:
    """A server that resumes must not aggregate it, and must take another of that client."""
    refused = {"client": "evil", "round": 0, "reason": "NON_FINITE", "message": "too large"}
    state = replayed(accepted("evil"), accepted("site-1"), (Kind.UPDATE_REFUSED, refused))
    assert list(state.accepted) == ["site-1"]
    assert state.last_round == {"site-1": 0}
    assert state.rejected == [Rejected("evil", 0, "NON_FINITE", "too large")]
    assert state.rejected[0].cause == "NON_FINITE: too large"
    assert state.failures() == {"evil": 1}
    again = replayed(accepted("evil"), (Kind.UPDATE_REFUSED, refused), accepted("evil"))
    assert list(again.accepted) == ["evil"]


#: As every version has written it.
_RECORDED = {
    "client": "site-1",
    "round": 3,
    "sha256": "ab",
    "bytes": 7,
    "num_samples": 2.0,
    "kind": "weight_diff",
    "metrics": {"loss": 0.5},
    "validation": {},
    "seconds_train": 1.5,
    "seconds_upload": 0.25,
    "inline": False,
}


def test_what_was_said_of_an_update_is_read_back() -> None:
    counted = replayed((Kind.UPDATE_ACCEPTED, _RECORDED)).accepted["site-1"]
    assert counted.number.result() == 2
    assert counted.update.to_json() == {**_RECORDED, "wire_bytes": 7}
    assert counted.update.contribution == Contribution(
        "site-1", 2.0, UpdateKind.WEIGHT_DIFF, {"loss": 0.5}
    )


@pytest.mark.parametrize(
    "changed",
    [{"client": 1}, {"sha256": None}, {"inline": 1}, {"seconds_upload": "1"}, {"kind": "other"}],
    ids=str,
)
def test_what_says_something_else_of_an_update_is_named(changed: dict[str, Any]) -> None:
    with pytest.raises(JournalError, match="event 2, update_accepted, cannot be understood"):
        replayed((Kind.UPDATE_ACCEPTED, {**_RECORDED, **changed}))


def test_a_journal_of_a_later_version_is_refused_with_a_sentence() -> None:
    with pytest.raises(JournalError, match="'model_blessed', which this version does not know"):
        replay([JournalEvent(1, 0.0, "model_blessed", {})])


def test_why_a_run_was_stopped_is_not_why_it_goes_on() -> None:
    stopped = (Kind.RUN_ENDED, {"status": "stopped", "reason": "asked to", "wall_seconds": 2.0})
    state = replayed(stopped, (Kind.RUN_RESUMED, {"round": 0}))
    assert (state.status, state.reason, state.wall_seconds) == ("running", "", 2.0)


def test_what_a_killed_server_worked_counts_up_to_its_last_record() -> None:
    """A run that began 76 seconds before its end was said to have taken 59."""

    def worked(*events: tuple[Kind, float, dict[str, Any]]) -> float:
        rows = [(Kind.RUN_STARTED, 100.0, STARTED), *events]
        journal = [JournalEvent(n, time, kind, data) for n, (kind, time, data) in enumerate(rows)]
        return replay(journal).wall_seconds + unrecorded_seconds(journal)

    closed = {"round": 0, "summary": {"model_sha256": "n"}, "wall_seconds": 5.0}
    stopped = {"status": "stopped", "reason": "", "wall_seconds": 9.0}
    update = (Kind.UPDATE_ACCEPTED, 112.0, accepted("site-1")[1])
    assert worked() == 0
    assert worked(update) == 12
    assert worked((Kind.ROUND_CLOSED, 105.0, closed), update) == 5 + 7
    assert worked(update, (Kind.RUN_ENDED, 109.0, stopped)) == 9
    killed = ((Kind.ROUND_CLOSED, 105.0, closed), update)
    resumed = (Kind.RUN_RESUMED, 200.0, {"round": 1, "wall_seconds": 12.0})
    assert worked(*killed, resumed) == 12
    assert worked(*killed, resumed, (update[0], 203.0, update[2])) == 12 + 3
    assert worked(*killed, (update[0], 50.0, update[2])) == 5, "a clock that was set back"


def test_a_failed_run_that_is_taken_up_again_has_forgotten_its_failures() -> None:
    failed = {"client": "site-2", "round": 0, "reason": "TASK_FAILED", "message": "no file"}
    events = [
        (Kind.ROUND_OPENED, {"round": 0, "participants": ["site-1", "site-2"]}),
        accepted("site-1"),
        (Kind.TASK_FAILED, failed),
        (Kind.RUN_ENDED, {"status": "failed", "reason": "why", "wall_seconds": 2.0}),
        (Kind.RUN_SETTLED, {"untold": []}),
    ]
    assert replayed(*events).failures() == {"site-2": 1}
    state = replayed(*events, (Kind.RUN_RETRIED, {"wall_seconds": 2.5, "epoch": "f"}))
    assert (state.status, state.reason, state.settled) == ("running", "", False)
    assert (state.rejected, state.epoch, state.wall_seconds) == ([], "f", 2.5)
    assert (list(state.accepted), state.participants) == (["site-1"], ("site-1", "site-2"))


def test_an_end_is_untold_until_it_is_settled() -> None:
    ended = (Kind.RUN_ENDED, {"status": "failed", "reason": "why", "wall_seconds": 2.0})
    state = replayed(ended)
    assert (state.status, state.reason, state.untold) == ("failed", "why", True)
    assert not replayed(ended, (Kind.RUN_SETTLED, {"untold": []})).untold
    stopped = (Kind.RUN_ENDED, {"status": "stopped", "reason": "", "wall_seconds": 2.0})
    assert not replayed(stopped).untold


def test_a_removed_client_takes_its_update_of_the_open_round_along_and_is_no_failure() -> None:
    removed = {"client": "site-1", "key_sha256": "k", "reason": "asked to", "round": 0}
    registered = {"client": "site-1", "key_sha256": "n", "mmar_digest": "d"}
    began = (Kind.ROUND_OPENED, {"round": 0, "participants": ["site-1", "site-2"]})
    state = replayed(began, accepted("site-1"), accepted("site-2"), (Kind.CLIENT_REMOVED, removed))
    assert list(state.accepted) == list(state.last_round) == ["site-2"]
    assert [one.cause for one in state.rejected] == ["REMOVED: asked to"]
    assert (state.failures(), state.again) == ({}, {"site-1": 1})
    assert state.out() == {"site-1"}
    assert state.participants == ("site-1", "site-2")
    anew = replayed(began, (Kind.CLIENT_REMOVED, removed), (Kind.CLIENT_REGISTERED, registered))
    assert anew.out() == frozenset()
    assert set(anew.removed) == {"k"}, "its first session stays out"


def test_a_removal_while_a_round_is_added_up_leaves_that_round_as_it_is() -> None:
    removed = {"client": "site-1", "key_sha256": "k", "reason": "", "round": None}
    state = replayed(accepted("site-1"), (Kind.CLIENT_REMOVED, removed))
    assert list(state.accepted) == ["site-1"]
    assert state.rejected == []
