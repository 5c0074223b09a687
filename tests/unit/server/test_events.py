# SPDX-License-Identifier: Apache-2.0
"""Third-party code that raises ends no run and silences nobody else."""

import asyncio
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.errors import ComponentFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.aggregator import Contribution
from mmar_runner.interfaces.handler import BestModelSelector, EventType, Handler, RunEvent
from mmar_runner.server.components import component_thread
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.server.rounds.best import BestModel
from mmar_runner.server.telling.events import EventDispatcher
from tests.noted import Noted

PLUGINS = load_plugins()


@pytest.fixture
def noted() -> Noted:
    """Takes note of failures."""
    return Noted()


def named(*handlers: Handler) -> list[tuple[str, Handler]]:
    return [(f"the handler {type(handler).__name__} (a:1)", handler) for handler in handlers]


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
    tmp_path: Path, noted: Noted
) -> None:
    remembering = Remembering()
    events = EventDispatcher(named(Raising(), remembering), PLUGINS, RunFolder(tmp_path, 1), noted)
    events.emit(EventType.ROUND_STARTED, 0)
    events.emit(EventType.END_RUN)
    await events.close()
    assert remembering.told == [EventType.ROUND_STARTED, EventType.END_RUN]
    assert noted.sentences == [
        "the handler Raising (a:1) failed at ROUND_STARTED of round 0: KeyError: 'nothing here'",
        "the handler Raising (a:1) failed at END_RUN: KeyError: 'nothing here'",
    ]
    assert all(isinstance(raised, KeyError) for raised in noted.raised)


async def test_a_handler_that_raises_before_the_run_ends_it(tmp_path: Path, noted: Noted) -> None:
    events = EventDispatcher(named(Raising()), PLUGINS, RunFolder(tmp_path, 1), noted)
    with pytest.raises(ComponentFailedError, match="failed at START_RUN: KeyError") as caught:
        await events.start()
    await events.close()
    log = tmp_path / "logs" / "components.log"
    assert caught.value.hint == f"the traceback is in {log}"
    assert 'raise KeyError("nothing here")' in log.read_text()
    assert not noted.sentences


async def test_a_handler_that_exits_ends_neither_the_server_nor_the_telling(
    tmp_path: Path, noted: Noted
) -> None:
    """The thread that tells of events ended with it, and the run's end was waited for for ever."""
    remembering = Remembering()
    events = EventDispatcher(named(Leaving(), remembering), PLUGINS, RunFolder(tmp_path, 1), noted)
    events.emit(EventType.ROUND_STARTED, 0)
    events.emit(EventType.END_RUN)
    async with asyncio.timeout(10):
        await events.close()
    assert remembering.told == [EventType.ROUND_STARTED, EventType.END_RUN]
    assert noted.sentences[0].startswith("the handler Leaving (a:1) failed at ROUND_STARTED of ")
    with pytest.raises(ComponentFailedError, match="failed at START_RUN"):
        async with asyncio.timeout(10):
            await EventDispatcher(named(Leaving()), PLUGINS, RunFolder(tmp_path, 1), noted).start()


class Blocking(Handler):
    def __init__(self) -> None:
        self.may_return = threading.Event()
        self.called = threading.Event()

    def handle_event(self, event: RunEvent) -> None:
        self.called.set()
        self.may_return.wait()


async def test_a_handler_that_never_returns_is_left_behind_once_nobody_wants_to_wait(
    tmp_path: Path,
    noted: Noted,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(component_thread, "_LAST_SECONDS", 0.05)
    blocking = Blocking()
    events = EventDispatcher(named(blocking), PLUGINS, RunFolder(tmp_path, 1), noted)
    events.emit(EventType.ROUND_STARTED, 0)
    await asyncio.to_thread(blocking.called.wait)
    assert events.doing == "the handler Blocking at ROUND_STARTED"
    closing = asyncio.create_task(events.close())
    assert not (await asyncio.wait({closing}, timeout=0.1))[0], "it waits as long as it may"
    events.give_up()
    await closing
    assert "the handler Blocking at ROUND_STARTED has not returned" in caplog.text
    await events.close()  # which notes nothing again
    (sentence,) = noted.sentences
    assert sentence.startswith("the handler Blocking (a:1) failed at ROUND_STARTED of round 0: ")
    assert sentence.endswith("it has not returned, and was left behind")
    blocking.may_return.set()


@pytest.mark.parametrize("error", [ZeroDivisionError("no metrics"), SystemExit("no metrics")])
def test_a_selector_that_raises_scores_nothing(noted: Noted, error: BaseException) -> None:
    best = BestModel(RaisingSelector(error), noted, start_round=0)
    assert best.consider(4, {"accuracy": 1.0}, None) is None
    (sentence,) = noted.sentences
    assert sentence.startswith("the handler RaisingSelector failed at score of round 4: ")
    assert sentence.endswith(": no metrics")
    assert noted.raised == [error]


class Scoring(Raising, BestModelSelector):
    def __init__(self, scored: object) -> None:
        self.scored = scored

    def score(self, metrics):
        return self.scored


@pytest.mark.parametrize(
    ("scored", "word"),
    [(math.nan, "nan is no score"), (math.inf, "inf is no score"), ("high", "high"), ([], "list")],
)
def test_what_is_no_number_scores_nothing(noted: Noted, scored: object, word: str) -> None:
    """The journal has no NaN: a server that resumed had nothing to compare the next score with."""
    best = BestModel(Scoring(scored), noted, start_round=0)
    assert best.consider(0, {"accuracy": 1.0}, None) is None
    (sentence,) = noted.sentences
    assert sentence.startswith("the handler Scoring failed at score of round 0: ")
    assert word in sentence


class Weighing(Scoring):
    def __init__(self, weight: object) -> None:
        super().__init__(1.0)
        self.weighs = weight

    def weight(self, client, num_samples):
        return self.weighs


def test_clients_count_as_the_selector_says(noted: Noted) -> None:
    two = [Contribution("site-1", 30.0), Contribution("site-2", 10.0)]
    assert BestModel(None, noted, start_round=0).weights(0, two) is None
    assert BestModel(Scoring(1.0), noted, start_round=0).weights(0, two) == [30.0, 10.0]
    assert BestModel(Weighing(2), noted, start_round=0).weights(0, two) == [2.0, 2.0]
    assert not noted.sentences


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, "much"])
def test_what_is_no_weight_counts_by_samples(noted: Noted, weight: object) -> None:
    best = BestModel(Weighing(weight), noted, start_round=0)
    assert best.weights(2, [Contribution("site-1", 30.0)]) is None
    (sentence,) = noted.sentences
    assert sentence.startswith("the handler Weighing failed at weight of round 2: ")


def test_a_score_is_kept_as_a_plain_number(noted: Noted) -> None:
    half = BestModel(Scoring(np.float32(0.5)), noted, start_round=0)
    found = half.consider(3, {"a": 1.0}, (1, 0.25))
    assert found is not None
    assert (found.round, type(found.score), found.score) == (3, float, 0.5)
    same = BestModel(Scoring(0.25), noted, start_round=0)
    assert same.consider(3, {"a": 1.0}, (1, 0.25)) is None
    assert not noted.sentences
