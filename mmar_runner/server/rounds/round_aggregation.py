# SPDX-License-Identifier: Apache-2.0
"""A round's accepted updates, wherever they lie, as the next model file; or which to leave out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mmar_runner.errors import MmarRunnerError, NonFiniteError, RunFailedError
from mmar_runner.federation.fedbuff import staleness_factor
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.records.models import lost_error
from mmar_runner.server.records.tracebacks import keep_traceback
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.overflow import find_overflowing
from mmar_runner.server.rounds.partial_sum import write_partial_sum
from mmar_runner.server.rounds.update_blocks import Update, read_blocks
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.server.records.update_bytes import UpdateBytes
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.rounds.aggregation import Aggregate
    from mmar_runner.server.rounds.contexts import RoundContexts
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.partial_sum import PartialSum
    from mmar_runner.storage.coded_reader import BlockReader

_Made = TypeVar("_Made")


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
        label: What sentences about its failures call it.
        folder: Where the next model goes.
        updates: Where they lie.
        contexts: What the rule is told of a round.
        models: The run's models.
        excluded: Names of tensors that stay as they are.
        durable: Whether the result is on the disk before it is told.
        state: What the rule keeps, as the round that is open finds it; None if that is nothing.
        given_up: Set once nobody wants the result any more: the thread ends at the next block.
    """

    aggregator: TensorwiseAggregator
    label: str
    folder: RunFolder
    updates: UpdateBytes
    contexts: RoundContexts
    models: ModelStore
    excluded: Collection[str]
    durable: bool
    state: ModelFile | None = None
    given_up: threading.Event = field(default_factory=threading.Event)

    def combine(
        self, current: OpenRound, combination: Combination, destination: Path | None = None
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        """Return the next model and what came with it; or which updates it must be made without.

        Args:
            current: The round.
            combination: What it is made of.
            destination: Where it goes; None for where the next model lies.

        Raises:
            RunFailedError: The rule failed, or itself gives what is not finite.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written.
        """
        return self._unless_withdrawn(
            combination, partial(self.made, current, combination, destination)
        )

    def partial_sum(self, combination: Combination, destination: Path) -> PartialSum | Withdrawn:
        """Return what a combiner sends of a round; or which updates that must be made without.

        Args:
            combination: What it is made of.
            destination: Where it goes.

        Raises:
            RunFailedError: The rule failed, or itself gives what is not finite.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written.
        """
        return self._unless_withdrawn(
            combination, partial(write_partial_sum, combination, destination)
        )

    def _unless_withdrawn(
        self, combination: Combination, make: Callable[[], _Made]
    ) -> _Made | Withdrawn:
        """Return what is made of updates; or which of them are to blame that it is not finite."""
        try:
            return make()
        except RunFailedError as error:
            if error.reason != NonFiniteError.default_reason or self.aggregator.takes:
                raise  # of masked updates nobody can say which it was
            overflowing = find_overflowing(combination)
            if not overflowing:
                raise
            return Withdrawn(error.reason, overflowing)
        except MmarRunnerError:
            raise
        except (Exception, SystemExit) as error:  # one that leaves would take the server along
            raise self._failure(error) from error

    def combination(
        self, current: OpenRound, accepted: list[CountedUpdate]
    ) -> Combination | Withdrawn:
        """Return what is to be combined; or which updates are not to be.

        Args:
            current: The round.
            accepted: Its updates, in the order of client names.

        Raises:
            StorageError: The round's model is damaged.
        """
        self._require_sound(current)
        if (lost := self._lost_bases(accepted)) is not None:
            return lost
        return Combination(
            self.aggregator,
            current.model.path,
            [self._update(counted) for counted in accepted],
            self.contexts.of(current.number),
            self.excluded,
            self.given_up,
            self.label,
            None if self.state is None else self.state.path,
        )

    def made(
        self, current: OpenRound, combination: Combination, destination: Path | None = None
    ) -> tuple[ModelFile, Aggregate]:
        """Return the next model and what came with it.

        Args:
            current: The round.
            combination: What it is made of.
            destination: Where it goes; None for where the next model lies.

        Raises:
            RunFailedError: The rule failed, or gives what is not finite.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written.
        """
        place = destination or self.folder.model(current.number + 1)
        found = aggregate(
            combination,
            place,
            durable=self.durable and destination is None,
            spare=self.models.spare() if destination is None else None,
            state=self.folder.server_state(current.number + 1),
        )
        if destination is not None:  # where a child writes, nothing is read again
            return ModelFile(place, found.sha256, 0, None), found
        return ModelFile.load(place, found.sha256), found

    def published(self, current: OpenRound, draft: Callable[[], BlockReader]) -> ModelFile:
        """Write a result that was changed since as the next model.

        Args:
            current: The round.
            draft: Opens the result: tensors as those of the round's model.

        Raises:
            RunFailedError: A filter wrote it, and it cannot be read.
            StorageError: It cannot be read or written.
        """
        destination = self.folder.model(current.number + 1)
        with TensorReader(current.model.path) as model, draft() as reader:
            header = model.header
            layout = [(t.name, t.dtype, t.shape) for t in header.tensors.values()]
            with TensorWriter(
                destination,
                layout,
                header.metadata,
                durable=self.durable,
                recycle=self.models.spare(),
            ) as writer:
                for name, block in read_blocks(model, reader):
                    writer.write(name, block)
                sha256 = writer.commit()
        return ModelFile.load(destination, sha256)

    def _update(self, counted: CountedUpdate) -> Update:
        update, opens = counted.update, partial(self.updates.open, counted)
        if update.facts.parts:
            return Update(update.contribution, opens, parts=update.contributions)
        if not update.staleness:
            return Update(update.contribution, opens)
        holds_weights = update.facts.kind is UpdateKind.WEIGHTS
        base = self.folder.model(update.base) if holds_weights else None
        return Update(update.contribution, opens, staleness_factor(update.staleness), base)

    def _lost_bases(self, accepted: list[CountedUpdate]) -> Withdrawn | None:
        """Return which updates hold weights, and the model that they were made from is lost."""
        messages = {}
        for one in (counted.update for counted in accepted):
            if not one.staleness or one.facts.kind is not UpdateKind.WEIGHTS:
                continue
            known = self.contexts.state.bases.get(one.base, "")
            if self.models.loss_of(one.base, known) is not None:
                msg = f"it was made from the model of round {one.base}, which is lost"
                messages[one.client] = msg
        return Withdrawn("BASE_LOST", messages) if messages else None

    def go_on(self, round_number: int, state_sha256: str) -> None:
        """Have the next round find what the rule keeps from this one on.

        Args:
            round_number: The next round.
            state_sha256: Of its state; empty if there is none.
        """
        self.state = self.models.state_file(round_number, state_sha256)

    def resume(self, facts: Mapping[str, Any]) -> None:
        """Tell the rule what it put on record last, if it did.

        Raises:
            RunFailedError: It failed.
        """
        if not facts:
            return
        try:
            self.aggregator.resume(facts)
        except MmarRunnerError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> RunFailedError:
        msg = f"{self.label} failed: {type(error).__name__}: {error}"
        where = keep_traceback(self.folder.logs / "aggregator.log", msg, error)
        return RunFailedError(msg, reason="AGGREGATOR", hint=where)

    def _require_sound(self, current: OpenRound) -> None:
        """Add nothing to what was damaged while the round's updates were awaited."""
        lost, state = None, self.state
        if not current.model.is_as_it_was:
            lost = self.models.loss_of(current.number, current.model.sha256)
        if lost is None and state is not None and not state.is_as_it_was:
            lost = self.models.state_loss_of(current.number, state.sha256)
        if lost is not None:
            raise lost_error([lost], self.folder)
