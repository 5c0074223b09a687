# SPDX-License-Identifier: Apache-2.0
"""Which global model is the best so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import ComponentFailedError
from mmar_runner.server.records.failed_components import ComponentFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.interfaces.aggregator import Contribution
    from mmar_runner.interfaces.handler import BestModelSelector
    from mmar_runner.server.records.failed_components import NoteFailure


@dataclass(frozen=True, slots=True)
class Scored:
    """A round whose result got a score."""

    round: int
    score: float


class BestModel:
    """Says which result is better than the best so far.

    Clients validate the model they receive, so their metrics of round k speak of the
    result of round k - 1. The initial model is nobody's result and never the best.

    Args:
        selector: The declared one, or None: then the first validation metric in
            alphabetical order that is not a loss counts, larger being better.
        note: Takes note of a selector that fails: the round has no score then.
        start_round: The first round of the run.
    """

    def __init__(
        self, selector: BestModelSelector | None, note: NoteFailure, *, start_round: int
    ) -> None:
        self._selector = selector
        self._note = note
        self._start_round = start_round

    def consider(
        self, round_number: int, metrics: Mapping[str, float], best: tuple[int, float] | None
    ) -> Scored | None:
        """Return the round's result with its score if it is better than the best so far.

        Args:
            round_number: The round.
            metrics: What its result is scored by.
            best: The best round so far and its score, if there is one.
        """
        if round_number < self._start_round or not metrics:
            return None
        score = self._score(round_number, metrics)
        if score is None or (best is not None and score <= best[1]):
            return None
        return Scored(round_number, score)

    def weights(
        self, round_number: int, contributions: Sequence[Contribution]
    ) -> list[float] | None:
        """Return how much each client's metrics count; None counts them by their samples."""
        if self._selector is None:
            return None
        try:
            return [_weight(self._selector, one) for one in contributions]
        except ComponentFailedError as error:
            self._note_failed("weight", round_number, error)
            return None

    def _note_failed(self, what: str, round_number: int, error: ComponentFailedError) -> None:
        name = f"the handler {type(self._selector).__name__}"
        why = error.__cause__ or error.message
        self._note(ComponentFailure.of(name, what, round_number, why), error.__cause__)

    def _score(self, round_number: int, metrics: Mapping[str, float]) -> float | None:
        if self._selector is not None:
            try:
                return _asked(self._selector, metrics)
            except ComponentFailedError as error:
                # The run goes on without a score: no model is lost by that.
                self._note_failed("score", round_number, error)
                return None
        names = sorted(name for name in metrics if "loss" not in name)
        return metrics[names[0]] if names else None


class NobodysBest(BestModel):
    """Finds no result the best: at a combiner, which has seen the metrics of its own sites alone.

    Its parent, who has all of them, does.
    """

    def __init__(self) -> None:
        super().__init__(None, _note_nothing, start_round=0)

    def consider(
        self, round_number: int, metrics: Mapping[str, float], best: tuple[int, float] | None
    ) -> Scored | None:
        """Find none."""
        del round_number, metrics, best
        return None


def _note_nothing(_failure: ComponentFailure, _raised: BaseException | str | None) -> None:
    """Take no note: no selector is asked."""


def _weight(selector: BestModelSelector, one: Contribution) -> float:
    name = type(selector).__name__
    try:
        weight = float(selector.weight(one.client, one.num_samples))
    except (Exception, SystemExit) as error:  # one that leaves would take the server along
        msg = f"{name} could not weigh a client: {error}"
        raise ComponentFailedError(msg) from error
    if not 0 <= weight < math.inf:
        raise ComponentFailedError(f"{name} could not weigh {one.client}: {weight} is no weight")
    return weight


def _asked(selector: BestModelSelector, metrics: Mapping[str, float]) -> float | None:
    """Return a selector's score as a number that can be compared, and kept in the journal."""
    name = type(selector).__name__
    try:
        score = selector.score(metrics)
        number = None if score is None else float(score)
    except (Exception, SystemExit) as error:  # one that leaves would take the server along
        msg = f"{name} could not score a round: {error}"
        raise ComponentFailedError(msg) from error
    if number is not None and not math.isfinite(number):
        msg = f"{name} could not score a round: {number} is no score"
        raise ComponentFailedError(msg)
    return number
