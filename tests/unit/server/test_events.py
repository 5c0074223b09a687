# SPDX-License-Identifier: Apache-2.0
"""Third-party code that raises ends no run and silences nobody else."""

import asyncio
import logging
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.errors import ComponentFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.handler import BestModelSelector, EventType, Handler, RunEvent
from mmar_runner.server.components import component_thread
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.server.rounds.best import BestModel
from mmar_runner.server.telling.events import EventDispatcher


class Raising(Handler):
    def handle_event(self, event: RunEvent) -> None:
        raise KeyError("nothing here")


class Leaving(Handler):
    def handle_event(self, event: RunEvent) -> None:
        raise SystemExit(3)


class Remembering(Handler):
    def __init__(self) -> None:
        self.told: list[EventType] = []

    def handle_event(self, event: RunEvent) -> None:
        self.told.append(event.type)


class RaisingSelector(Raising, BestModelSelector):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def score(self, metrics):
        raise self.error


async def test_a_handler_that_raises_hides_no_event_from_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remembering = Remembering()
    events = EventDispatcher([Raising(), remembering], load_plugins(), RunFolder(tmp_path, 1))
    with caplog.at_level(logging.ERROR):
        events.emit(EventType.ROUND_STARTED, 0)
        events.emit(EventType.END_RUN)
        await events.close()
    assert remembering.told == [EventType.ROUND_STARTED, EventType.END_RUN]
    assert "the handler Raising failed at ROUND_STARTED: 'nothing here'" in caplog.text
    assert "KeyError" in caplog.text


async def test_a_handler_that_raises_before_the_run_ends_it(tmp_path: Path) -> None:
    events = EventDispatcher([Raising()], load_plugins(), RunFolder(tmp_path, 1))
    with pytest.raises(ComponentFailedError, match="failed at START_RUN"):
        await events.start()
    await events.close()


async def test_a_handler_that_exits_ends_neither_the_server_nor_the_telling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that tells of events ended with it, and the run's end was waited for for ever."""
    remembering = Remembering()
    events = EventDispatcher([Leaving(), remembering], load_plugins(), RunFolder(tmp_path, 1))
    events.emit(EventType.ROUND_STARTED, 0)
    events.emit(EventType.END_RUN)
    async with asyncio.timeout(10):
        await events.close()
    assert remembering.told == [EventType.ROUND_STARTED, EventType.END_RUN]
    assert "the handler Leaving failed at ROUND_STARTED: 3" in caplog.text
    with pytest.raises(ComponentFailedError, match="failed at START_RUN"):
        async with asyncio.timeout(10):
            await EventDispatcher([Leaving()], load_plugins(), RunFolder(tmp_path, 1)).start()


class Blocking(Handler):
    def __init__(self) -> None:
        self.may_return = threading.Event()
        self.called = threading.Event()

    def handle_event(self, event: RunEvent) -> None:
        self.called.set()
        self.may_return.wait()


async def test_a_handler_that_never_returns_is_left_behind_once_nobody_wants_to_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(component_thread, "_LAST_SECONDS", 0.05)
    blocking = Blocking()
    events = EventDispatcher([blocking], load_plugins(), RunFolder(tmp_path, 1))
    events.emit(EventType.ROUND_STARTED, 0)
    await asyncio.to_thread(blocking.called.wait)
    assert events.doing == "the handler Blocking at ROUND_STARTED"
    closing = asyncio.create_task(events.close())
    assert not (await asyncio.wait({closing}, timeout=0.1))[0], "it waits as long as it may"
    events.give_up()
    await closing
    assert "the handler Blocking at ROUND_STARTED has not returned" in caplog.text
    blocking.may_return.set()


@pytest.mark.parametrize("error", [ZeroDivisionError("no metrics"), SystemExit("no metrics")])
def test_a_selector_that_raises_scores_nothing(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    best = BestModel(RaisingSelector(error), start_round=0)
    with caplog.at_level(logging.ERROR):
        assert best.consider(0, {"accuracy": 1.0}, None) is None
    assert "RaisingSelector could not score a round: no metrics" in caplog.text


class Scoring(Raising, BestModelSelector):
    def __init__(self, scored: object) -> None:
        self.scored = scored

    def score(self, metrics):
        return self.scored


@pytest.mark.parametrize(
    ("scored", "word"),
    [(math.nan, "nan is no score"), (math.inf, "inf is no score"), ("high", "high"), ([], "list")],
)
def test_what_is_no_number_scores_nothing(
    caplog: pytest.LogCaptureFixture, scored: object, word: str
) -> None:
    """The journal has no NaN: a server that resumed had nothing to compare the next score with."""
    best = BestModel(Scoring(scored), start_round=0)
    with caplog.at_level(logging.ERROR):
        assert best.consider(0, {"accuracy": 1.0}, None) is None
    assert "Scoring could not score a round: " in caplog.text
    assert word in caplog.text


def test_a_score_is_kept_as_a_plain_number() -> None:
    found = BestModel(Scoring(np.float32(0.5)), start_round=0).consider(3, {"a": 1.0}, (1, 0.25))
    assert found is not None
    assert (found.round, type(found.score), found.score) == (3, float, 0.5)
    assert BestModel(Scoring(0.25), start_round=0).consider(3, {"a": 1.0}, (1, 0.25)) is None
