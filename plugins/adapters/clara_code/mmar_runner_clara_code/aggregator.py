# SPDX-License-Identifier: Apache-2.0
"""Runs an older aggregator: ``accept`` of every update, then ``aggregate``.

It works in a child of the server. Memory: what the code keeps, as a rule one model for each
client, and one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner.interfaces.whole_aggregator import WholeResult, WholeUpdateAggregator
from mmar_runner.storage.tensor_files import TensorWriter
from mmar_runner_clara_code.api.constants import EventType, FLConstants
from mmar_runner_clara_code.api.context import FLContext
from mmar_runner_clara_code.carrying import fitting, read_tensors, shareable_of, taken_from
from mmar_runner_clara_code.contexts import run_context, set_round
from mmar_runner_clara_code.older import Older

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner.interfaces.whole_aggregator import WholeRound, WholeUpdate
    from mmar_runner_clara_code.api.shareable import Shareable

#: An older ``accept`` says with the first of two whether it takes an update, or says it alone.
_PAIR = 2


class ClaraCodeAggregator(WholeUpdateAggregator):
    """Gives an older aggregator one update after the other.

    Args:
        code: The class.

    Raises:
        ComponentBuildError: It cannot be built.
        TypeError: It is no aggregator.
    """

    def __init__(self, code: Blueprint) -> None:
        self._older = Older(code, "accept", "aggregate")
        self.wants = self._older.works_on
        self._context = FLContext()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._round = -1

    def setup(self, context: TrainerContext) -> None:
        """Tell of the run's begin."""
        self._context = run_context(context)
        self._older.tell(EventType.START_RUN, self._context)

    def begin(self, round_: WholeRound) -> None:
        """Tell of a round."""
        self._shapes, self._round = {}, round_.number
        first = {FLConstants.START_ROUND: round_.start_round}
        set_round(self._context, round_.number, round_.num_rounds, **first)
        self._older.tell(EventType.ROUND_STARTED, self._context)

    def accept(self, update: WholeUpdate) -> str:
        """Hand over an update; return why it is not taken.

        Raises:
            TaskFailedError: The code does not say whether it takes it.
        """
        tensors = read_tensors(update.file)
        self._shapes = {name: tensor.shape for name, tensor in tensors.items()}
        samples = update.contribution.num_samples
        meta = {
            FLConstants.NUM_STEPS_CURRENT_ROUND: int(samples) if samples % 1 == 0 else samples,
            FLConstants.CLIENT_NAME: update.contribution.client,
        }
        shareable = shareable_of(tensors, update.contribution.kind, meta)
        self._introduce(shareable, update.contribution.client)
        answer = self._older.made.accept(shareable, self._context)
        if isinstance(answer, (tuple, list)) and len(answer) == _PAIR:
            answer = answer[0]
        if not isinstance(answer, (bool, np.bool_)):
            raise self._older.fail(f"answered accept with {answer!r:.80}, not with True or False")
        return "" if answer else f"{self._older.name} did not accept it"

    def aggregate(self, destination: Path) -> WholeResult:
        """Have the result made and write it.

        Raises:
            TaskFailedError: The code gave no tensors, or others than the model's.
        """
        self._context.remove_prop(FLConstants.PEER_CONTEXT)
        self._older.tell(EventType.BEFORE_AGGREGATION, self._context)
        answer = self._older.made.aggregate(self._context)
        self._older.tell(EventType.END_AGGREGATION, self._context)
        taken = taken_from(self._older, answer, self.wants)
        fitting(self._older, taken.tensors, self._shapes)
        _write(destination, {n: taken.tensors[n] for n in self._shapes if n in taken.tensors})
        self._older.tell(EventType.ROUND_DONE, self._context)
        left_out = tuple(name for name in self._shapes if name not in taken.tensors)
        return WholeResult(taken.kind, left_out)

    def close(self) -> None:
        """Tell of the run's end."""
        try:
            self._older.tell(EventType.END_RUN, self._context)
        finally:
            self._older.close()

    def _introduce(self, shareable: Shareable, client: str) -> None:
        """Say whose a shareable is and of which round, in each of the ways that were usual."""
        peer = {FLConstants.CLIENT_NAME: client, FLConstants.CURRENT_ROUND: self._round}
        shareable.set_peer_props(dict(peer))
        shareable.set_header(FLConstants.CURRENT_ROUND, self._round)
        self._context.set_peer_context(FLContext({**peer, FLConstants.SHAREABLE: shareable}))


def _write(destination: Path, tensors: dict[str, npt.NDArray[Any]]) -> None:
    listed = [(name, "F64", tensor.shape) for name, tensor in tensors.items()]
    with TensorWriter(destination, listed, {}, durable=False) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor.astype(np.float64))
        writer.commit()
