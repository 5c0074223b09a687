# SPDX-License-Identifier: Apache-2.0
"""Who gets a result processed, how often, and in which order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import ComponentFailedError, RefusedError
from mmar_runner.interfaces.result_processor import ResultContext, ResultProcessor
from mmar_runner.server.components.results import (
    CROSS_SITE_TOPIC,
    RESULTS_PER_ROUND,
    ResultDesk,
)
from mmar_runner.server.records.workspace import RunFolder
from tests.noted import Noted


class Notes(ResultProcessor):
    """Remembers whose results it gets, and waits until it is let go on."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.rounds: list[int | None] = []
        self.called = threading.Event()
        self.go_on = threading.Event()

    def get_topics(self) -> Sequence[str]:
        return ["notes"]

    def process(
        self, topic: str, result: Mapping[str, Any], context: ResultContext
    ) -> Mapping[str, Any]:
        self.called.set()
        self.go_on.wait(20)
        self.seen.append(context.client)
        self.rounds.append(context.newest_round)
        return {}


class Desk:
    """A desk with one processor, in a round that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.notes, self.round = Notes(), 3
        run = RunFolder(folder / "run_1", 1)
        self.desk = ResultDesk([self.notes], run, newest_round=lambda: self.round, note=Noted())

    async def send(self, client: str, site: str = "") -> bytes:
        return await self.desk.process(client, site or client, "notes", b"{}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_processor_hears_which_round_is_the_newest(desk: Desk) -> None:
    desk.notes.go_on.set()
    asyncio.run(desk.send("site-1"))
    assert desk.notes.rounds == [3]


def test_a_site_with_many_results_keeps_another_waiting_for_one(desk: Desk) -> None:
    async def play() -> None:
        many = [asyncio.create_task(desk.send(f"evil_{n}", "evil")) for n in range(10)]
        await asyncio.sleep(0)
        other = asyncio.create_task(desk.send("site-1"))
        await asyncio.sleep(0)
        desk.notes.go_on.set()
        await asyncio.gather(other, *many)

    asyncio.run(play())
    assert desk.notes.seen.index("site-1") <= 1
    assert len(desk.notes.seen) == 11


def test_a_call_that_is_given_up_gives_its_turn_on(desk: Desk) -> None:
    async def play() -> None:
        given_up = [asyncio.create_task(desk.send("site-1")) for _ in range(3)]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.wait(given_up)
        desk.notes.go_on.set()
        await desk.send("site-1")

    asyncio.run(play())


def test_a_client_may_send_so_many_results_in_a_round(desk: Desk) -> None:
    desk.notes.go_on.set()

    async def play() -> None:
        for _ in range(RESULTS_PER_ROUND):
            await desk.send("site-1")
        with pytest.raises(RefusedError) as error:
            await desk.send("site-1")
        assert error.value.reason == "TOO_MANY_RESULTS"
        await desk.send("site-2")
        desk.round += 1
        await desk.send("site-1")

    asyncio.run(play())


class Failing(Notes):
    """Leaves wherever it is called."""

    def process(
        self, topic: str, result: Mapping[str, Any], context: ResultContext
    ) -> Mapping[str, Any]:
        raise SystemExit(4)

    def close(self) -> None:
        raise SystemExit(5)


class Closing(Notes):
    """Answers to another topic, and notes that it was closed."""

    def get_topics(self) -> Sequence[str]:
        return ["others"]

    def close(self) -> None:
        self.seen.append("closed")


async def test_a_processor_that_exits_ends_neither_the_server_nor_the_closing_of_others(
    tmp_path: Path,
) -> None:
    """What was to be closed behind it, the run's other parts among them, stayed open."""
    closing = Closing()
    run = RunFolder(tmp_path / "run_1", 1)
    noted = Noted()
    desk = ResultDesk([Failing(), closing], run, newest_round=lambda: 0, note=noted)
    with pytest.raises(ComponentFailedError, match="Failing tried to exit"):
        await desk.process("site-1", "site-1", "notes", b"{}")
    await desk.close()
    assert closing.seen == ["closed"]
    assert noted.sentences == ["the result processor Failing failed at close: SystemExit: 5"]


async def test_a_result_that_comes_after_the_end_is_refused(desk: Desk) -> None:
    await desk.desk.close()
    with pytest.raises(RefusedError) as error:
        await desk.send("site-1")
    assert error.value.reason == "RUN_OVER"


async def test_a_processor_that_does_not_return_is_named(desk: Desk) -> None:
    sending = asyncio.create_task(desk.send("site-1"))
    await asyncio.to_thread(desk.notes.called.wait, 20)
    assert desk.desk.doing == "the result processor Notes at a result of 'notes'"
    desk.notes.go_on.set()
    await sending
    assert desk.desk.doing == ""


def test_what_the_server_hands_on_no_client_can_send(tmp_path: Path) -> None:
    class Matrix(Notes):
        def get_topics(self) -> Sequence[str]:
            return [CROSS_SITE_TOPIC]

    async def play() -> None:
        run = RunFolder(tmp_path / "run_1", 1)
        desk = ResultDesk([matrix], run, newest_round=lambda: 3, note=Noted())
        assert desk.topics == []
        with pytest.raises(RefusedError, match="no result processor") as refused:
            await desk.process("evil", "evil", CROSS_SITE_TOPIC, b"{}")
        assert refused.value.reason == "TOPIC_UNKNOWN"
        for _ in range(RESULTS_PER_ROUND + 1):
            await desk.pass_on("site-1", CROSS_SITE_TOPIC, {})
        await desk.pass_on("site-1", "of nobody", {})
        await desk.close()

    matrix = Matrix()
    matrix.go_on.set()
    asyncio.run(play())
    assert matrix.seen == ["site-1"] * (RESULTS_PER_ROUND + 1)
