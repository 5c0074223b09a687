# SPDX-License-Identifier: Apache-2.0
"""What every handler must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.handler import BestModelSelector, EventType, Handler, RunEvent
from mmar_runner.testing.contracts.laws import hold, same

_DATA: Final[Mapping[EventType, Mapping[str, Any]]] = {
    EventType.START_RUN: {},
    EventType.ROUND_STARTED: {"clients": ["site-1", "site-2"]},
    EventType.UPDATE_ACCEPTED: {
        "client": "site-1",
        "num_samples": 20.0,
        "metrics": {"val_accuracy": 0.5},
    },
    EventType.BEFORE_AGGREGATION: {"clients": ["site-1", "site-2"]},
    EventType.AFTER_AGGREGATION: {
        "metrics": {"val_accuracy": 0.5},
        "model": "models/round_0001.safetensors",
        "model_sha256": "0" * 64,
    },
    EventType.BEST_MODEL: {
        "metrics": {"val_accuracy": 0.5},
        "model": "models/round_0001.safetensors",
        "model_sha256": "0" * 64,
    },
    EventType.END_RUN: {"status": RunStatus.FINISHED.value, "reason": ""},
}
_OUTSIDE_ROUNDS: Final = frozenset({EventType.START_RUN, EventType.END_RUN})


class HandlerContract(ABC):
    """A handler sees every event of a run and lives through it."""

    @abstractmethod
    def make(self) -> Handler:
        """Return a new handler."""

    @pytest.fixture
    def events(self, tmp_path: Path) -> list[RunEvent]:
        """The events of a run of one round, in order."""
        return [
            RunEvent(kind, 1, tmp_path, None if kind in _OUTSIDE_ROUNDS else 0, data=_DATA[kind])
            for kind in EventType
        ]

    def test_sees_a_whole_run(self, events: list[RunEvent]) -> None:
        """No event makes it raise."""
        handler = self.make()
        for event in events:
            handler.handle_event(event)

    def test_sees_a_run_that_goes_on(self, events: list[RunEvent]) -> None:
        """A run that is resumed begins in the middle of a round."""
        handler = self.make()
        for event in [events[0], *events[3:]]:
            handler.handle_event(event)

    def test_scores(self) -> None:
        """A selector's score is a number or None, and the same for the same metrics."""
        handler = self.make()
        if not isinstance(handler, BestModelSelector):
            pytest.skip("it selects no best model")
        for metrics in ({}, {"val_accuracy": 0.5, "val_loss": 2.0}):
            score = handler.score(metrics)
            law = f"A selector scores {metrics}"
            sound = score is None or isinstance(score, float)
            hold(law, sound, expected="a float or None", got=score)
            same(f"{law} alike whenever asked", score, handler.score(metrics))
        same("A selector has no score for a round without metrics", None, handler.score({}))
