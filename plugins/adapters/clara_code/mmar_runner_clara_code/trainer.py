# SPDX-License-Identifier: Apache-2.0
"""Runs an older trainer: ``train`` of a shareable, with a signal that nobody gives.

Whoever gives a task up ends the process: the signal is there because the code asks for it.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner_clara_code.api.constants import EventType, FLConstants, ShareableKey
from mmar_runner_clara_code.api.context import FLContext
from mmar_runner_clara_code.api.dxo import dxo_in
from mmar_runner_clara_code.api.shareable import Shareable
from mmar_runner_clara_code.api.signal import Signal
from mmar_runner_clara_code.carrying import (
    fitting,
    read_tensors,
    samples_of,
    shareable_of,
    taken_from,
)
from mmar_runner_clara_code.contexts import run_context, set_round
from mmar_runner_clara_code.older import Older

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
    from mmar_runner_clara_code.carrying import Taken

#: What a validation metric is called that the code gives no name to.
_METRIC: Final = "validation_metric"


class ClaraCodeTrainer(ClientTrainer):
    """Gives an older trainer the round's model.

    Args:
        code: The class.

    Raises:
        ComponentBuildError: It cannot be built.
        TypeError: It is no trainer.
    """

    def __init__(self, code: Blueprint) -> None:
        self._older = Older(code, "train")
        self._context = FLContext()
        self._leads = True

    def unknown_network(self) -> str:
        """Return why nothing is said of the network."""
        return "older code builds its network by itself, and its interface has no question about it"

    def setup(self, context: TrainerContext) -> None:
        """Tell of the run's begin."""
        self._context = run_context(context)
        self._leads = not context.rank
        self._older.tell(EventType.START_RUN, self._context)

    def train(self, task: TrainTask) -> TrainResult:
        """Have a round trained and write what came of it.

        Raises:
            TaskFailedError: The code says that it failed, or gave other tensors.
        """
        _seed(task.seed)
        set_round(self._context, task.round, task.num_rounds)
        self._context.set_prop(FLConstants.CURRENT_RUN, task.run_number)
        came = shareable_of(read_tensors(task.model), UpdateKind.WEIGHTS, {})
        came.set_header(FLConstants.CURRENT_ROUND, task.round)
        answer = self._older.made.train(came, self._context, Signal())
        taken = taken_from(self._older, answer, UpdateKind.WEIGHT_DIFF)
        self._write(task, taken)
        samples = samples_of(taken.meta, FLConstants.NUM_STEPS_CURRENT_ROUND)
        validation = _metrics(taken.meta.get(FLConstants.INITIAL_METRICS))
        return TrainResult(samples, {}, validation, taken.kind)

    def validate(self, model: Path) -> Mapping[str, float]:
        """Have a model measured, if the code does that."""
        measures = getattr(self._older.made, "validate", None)
        if not callable(measures):
            return {}
        came = shareable_of(read_tensors(model), UpdateKind.WEIGHTS, {})
        answer = measures(came, self._context, Signal())
        if isinstance(answer, dict) and ShareableKey.METRICS in answer:
            return _metrics(answer[ShareableKey.METRICS])
        wrapped = dxo_in(Shareable(answer)) if isinstance(answer, dict) else None
        return _metrics(answer if wrapped is None else wrapped.data)

    def close(self) -> None:
        """Tell of the run's end."""
        try:
            self._older.tell(EventType.END_RUN, self._context)
        finally:
            self._older.close()

    def _write(self, task: TrainTask, taken: Taken) -> None:
        """Write an update: what the code left out keeps the received model's values."""
        if not self._leads:
            return
        with TensorReader(task.model) as model:
            infos = list(model.header.tensors.values())
            fitting(self._older, taken.tensors, {info.name: info.shape for info in infos})
            listed = [(info.name, info.dtype, info.shape) for info in infos]
            with TensorWriter(task.update, listed, {}, durable=False) as writer:
                for info in infos:
                    tensor = taken.tensors.get(info.name)
                    if tensor is None:
                        tensor = model.read(info.name)
                        if taken.kind is UpdateKind.WEIGHT_DIFF:
                            tensor = np.zeros_like(tensor)
                    writer.write(info.name, tensor.astype(numpy_dtype(info.dtype)))
                writer.commit()


def _seed(seed: int) -> None:
    """Seed what draws: a framework too, if it is there."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what code of that time draws from
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _metrics(said: Any) -> dict[str, float]:
    """Return numbers by name of whatever the code gives as metrics; what is none is left out."""
    named = said if isinstance(said, dict) else {_METRIC: said}
    found = {}
    for name, value in named.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if np.isfinite(number):
            found[str(name)] = number
    return found
