# SPDX-License-Identifier: Apache-2.0
"""What a client that asks is given: a task that is new to it, and the end once that is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.federation.run_status import RunEndStatus, RunStatus
from mmar_runner.server.records.record import CountedUpdate, OnRecord
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.open_round import OpenRound
from tests.updates import accepted

NONE_YET = (-1, 0)


@pytest.fixture
def assignments() -> Assignments:
    """Round 3 is open for site-1, in its second attempt; site-2 is done."""
    model: Any = None
    done = {"site-2": CountedUpdate(accepted("site-2", 3), OnRecord(1))}
    given = Assignments()
    given.open(OpenRound(3, model, 0.0, invited={"site-1": 2}, accepted=done))
    return given


@pytest.mark.parametrize(
    ("client", "after", "given"),
    [
        ("site-1", NONE_YET, True),
        ("site-1", (2, 7), True),
        ("site-1", (3, 1), True),
        ("site-1", (3, 2), False),
        ("site-2", NONE_YET, False),
        ("stranger", NONE_YET, False),
    ],
)
def test_a_task_is_given_to_whom_it_is_for_and_has_not_had_it(
    assignments: Assignments, client: str, after: tuple[int, int], given: bool
) -> None:
    assert (assignments.task_of(client, after) is not None) is given


def test_a_round_that_is_closing_has_no_task_and_takes_nothing(assignments: Assignments) -> None:
    assert assignments.require_round(3) is assignments.current
    assert assignments.current is not None
    assignments.current.closed.set()
    assert assignments.task_of("site-1", NONE_YET) is None
    with pytest.raises(RefusedError, match="round 3 is the current one"):
        assignments.require_round(3)


@pytest.mark.parametrize(
    ("end", "reason"),
    [(RunStatus.STOPPED, "SERVER_STOPPING"), (RunStatus.FAILED, "ROUND_MISMATCH")],
)
def test_nothing_counts_once_the_end_is_announced(
    assignments: Assignments, end: RunEndStatus, reason: str
) -> None:
    """Handlers were told END_RUN by then: no UPDATE_ACCEPTED may follow."""
    assignments.announce(end, "for a reason")
    with pytest.raises(RefusedError) as refused:
        assignments.require_round(3)
    assert refused.value.reason == reason


def test_a_task_is_given_again_but_not_to_one_that_is_done(assignments: Assignments) -> None:
    for client in ("site-1", "site-2"):
        assignments.invite(client, 3)
    assert assignments.task_of("site-1", (3, 2)) is not None
    assert assignments.task_of("site-2", NONE_YET) is None


def test_who_has_answered_an_older_task_has_this_rounds_too(assignments: Assignments) -> None:
    older = accepted("site-2", 1).counted_in(3)
    assert (older.base, older.staleness) == (1, 2)
    current = assignments.current
    assert current is not None
    current.accepted = {"site-2": CountedUpdate(older, OnRecord(1))}
    assignments.invite("site-2", 1)
    assert assignments.task_of("site-2", NONE_YET) is current


async def test_whoever_waits_hears_of_each_change(assignments: Assignments) -> None:
    waiting = asyncio.create_task(assignments.changed())
    await asyncio.sleep(0)
    assert not waiting.done()
    assignments.invite("site-1", 3)
    await waiting
    ending = asyncio.create_task(assignments.changed())
    await asyncio.sleep(0)
    assignments.announce(RunStatus.FINISHED, "")
    await ending


async def test_whom_a_change_does_not_concern_is_left_alone(assignments: Assignments) -> None:
    one, other = (
        asyncio.create_task(assignments.changed_for(name)) for name in ("site-1", "site-2")
    )
    await asyncio.sleep(0)
    assignments.invite("site-1", 3)
    await one
    assert not other.done()
    assignments.wake("site-2")  # as a stream that another one takes over from
    await other
    ending = asyncio.create_task(assignments.changed_for("site-2"))
    await asyncio.sleep(0)
    assignments.announce(RunStatus.FINISHED, "")
    await ending


def test_the_end_is_told_once_it_is_announced_and_a_stop_is_a_refusal() -> None:
    over, stopped = Assignments(), Assignments()
    assert (over.outcome(), over.round_number()) == (None, -1)
    over.announce(RunStatus.FAILED, "no data")
    end = over.outcome()
    assert end is not None
    assert (end.status, end.reason) == ("failed", "no data")
    stopped.announce(RunStatus.STOPPED, "asked to")
    with pytest.raises(RefusedError) as refused:
        stopped.outcome()
    assert refused.value.reason == "SERVER_STOPPING"
