# SPDX-License-Identifier: Apache-2.0
"""A round's accepted updates, wherever they lie, as the next model file; or which to leave out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mmar_runner.errors import MmarRunnerError, NonFiniteError, RunFailedError
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.models import lost_error
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.overflow import find_overflowing
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.server.records.update_bytes import UpdateBytes
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.rounds.open_round import OpenRound


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A round that cannot be aggregated with some of its updates.

    Attributes:
        reason: The stable id of why.
        messages: Why, by client.
    """

    reason: str
    messages: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class RoundAggregation:
    """Combines updates, in a worker thread.

    Attributes:
        aggregator: The rule.
        folder: Where the next model goes.
        updates: Where they lie.
        models: The run's models.
        excluded: Names of tensors that stay as they are.
        durable: Whether the result is on the disk before it is told.
        given_up: Set once nobody wants the result any more: the thread ends at the next block.
    """

    aggregator: TensorwiseAggregator
    folder: RunFolder
    updates: UpdateBytes
    models: ModelStore
    excluded: Collection[str]
    durable: bool
    given_up: threading.Event = field(default_factory=threading.Event)

    def combine(
        self, current: OpenRound, accepted: list[CountedUpdate]
    ) -> tuple[ModelFile, list[float]] | Withdrawn:
        """Return the next model and the weights; or which updates it must be made without.

        Args:
            current: The round.
            accepted: Its updates, in the order of client names.

        Raises:
            RunFailedError: The rule failed, or itself gives what is not finite.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written, or the round's model is damaged.
        """
        destination = self.folder.model(current.number + 1)
        self._require_sound(current)
        combination = Combination(
            self.aggregator,
            current.model.path,
            [Update(c.update.contribution, partial(self.updates.open, c)) for c in accepted],
            self.excluded,
            self.given_up,
        )
        try:
            spare = self.models.spare()
            sha256, weights = aggregate(combination, destination, durable=self.durable, spare=spare)
        except RunFailedError as error:
            if error.reason != NonFiniteError.default_reason:
                raise
            found = find_overflowing(combination)
            if not found:
                raise
            return Withdrawn(error.reason, found)
        except MmarRunnerError:
            raise
        except (Exception, SystemExit) as error:  # one that leaves would take the server along
            name = type(self.aggregator).__name__
            msg = f"the aggregator {name} failed: {type(error).__name__}: {error}"
            raise RunFailedError(msg, reason="AGGREGATOR") from error
        return ModelFile.load(destination, sha256), weights

    def _require_sound(self, current: OpenRound) -> None:
        """Add nothing to a model that was damaged while its updates were awaited."""
        if current.model.is_as_it_was:
            return
        lost = self.models.loss_of(current.number, current.model.sha256)
        if lost is not None:
            raise lost_error([lost], self.folder)
