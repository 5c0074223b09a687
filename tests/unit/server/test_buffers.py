# SPDX-License-Identifier: Apache-2.0
"""What a buffer takes, now, soon or never."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.record import CountedUpdate, OnRecord
from mmar_runner.server.records.run_state import RunState
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.buffers import Buffers
from mmar_runner.server.rounds.open_round import OpenRound
from tests.updates import accepted


def opened(number: int, *clients: str) -> OpenRound:
    counted = {name: CountedUpdate(accepted(name, number), OnRecord(1)) for name in clients}
    return OpenRound(number, ModelFile(Path("model"), "m", 1, None), 0.0, accepted=counted)


def buffers(number: int = 7, *clients: str, last: dict[str, int] | None = None) -> Buffers:
    made = Buffers(Assignments(), RunState(last_round=last or {}, bases={6: "six", 7: "7"}), 2)
    made.assignments.open(opened(number, *clients))
    return made


def reason(call: Any, *args: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        call(*args)
    return str(refused.value.reason)


@pytest.mark.parametrize("base", [5, 6, 7])
def test_an_update_of_a_model_that_is_not_too_old_is_taken(base: int) -> None:
    assert buffers().open_for("a", base) is not None


@pytest.mark.parametrize("base", [4, 8, -1])
def test_one_of_a_model_that_is_too_old_or_not_there_yet_is_not(base: int) -> None:
    assert reason(buffers().open_for, "a", base) == "ROUND_MISMATCH"


def test_one_of_an_older_model_than_that_of_which_one_counted_is_not() -> None:
    made = buffers(last={"a": 6})
    assert reason(made.current, "a", 5) == "ROUND_MISMATCH"
    assert made.open_for("a", 7) is not None


def test_one_that_counted_already_waits_for_nothing() -> None:
    made = buffers(7, "a", last={"a": 6})  # sent again, since its receipt was lost
    assert made.open_for("a", 6) is made.assignments.current
    assert made.open_for("a", 7) is None


def test_the_model_must_be_that_of_its_round() -> None:
    made = buffers()
    made.require_base(6, "six")
    assert reason(made.require_base, 6, "seven") == "BASE_MISMATCH"
    assert reason(made.require_base, 5, "") == "BASE_MISMATCH"


def test_nothing_is_taken_before_the_first_round_and_after_the_end() -> None:
    made = Buffers(Assignments(), RunState(), 2)
    assert reason(made.current, "a", 0) == "ROUND_MISMATCH"
    made = buffers()
    made.assignments.announce(RunStatus.FINISHED, "")
    assert reason(made.current, "a", 7) == "ROUND_MISMATCH"
    made = buffers()
    made.assignments.announce(RunStatus.STOPPED, "a signal")
    assert reason(made.current, "a", 7) == "SERVER_STOPPING"


@pytest.mark.parametrize("why", ["it is added up", "an update of the client is in it"])
def test_who_comes_too_early_for_the_next_buffer_waits_for_it(why: str) -> None:
    async def scene() -> None:
        made = buffers(7, *(["a"] if why != "it is added up" else []), last={"a": 5})
        current = made.assignments.current
        assert current is not None
        if why == "it is added up":
            current.closed.set()
        waiting = asyncio.create_task(made.until_open("a", 6))
        await asyncio.sleep(0)
        assert made.open_for("a", 6) is None
        assert not waiting.done()
        made.assignments.open(opened(8))
        await waiting

    asyncio.run(scene())


def test_nobody_waits_for_a_buffer_while_models_are_validated() -> None:
    async def scene() -> None:
        made = buffers(7, "a", last={"a": 5})
        waiting = asyncio.create_task(made.until_open("a", 6))
        await asyncio.sleep(0)
        made.assignments.validate(["a"])
        with pytest.raises(RefusedError) as refused:
            await waiting
        assert refused.value.reason == "ROUND_MISMATCH"

    asyncio.run(scene())


def test_who_waits_until_its_model_is_too_old_is_refused() -> None:
    async def scene() -> None:
        made = buffers(7, "a", last={"a": 4})
        waiting = asyncio.create_task(made.until_open("a", 5))
        over = asyncio.create_task(made.until_refused("a", 5))
        await asyncio.sleep(0)
        made.assignments.open(opened(8))
        with pytest.raises(RefusedError):
            await waiting
        await over

    asyncio.run(scene())
