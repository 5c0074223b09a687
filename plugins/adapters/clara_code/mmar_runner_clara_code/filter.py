# SPDX-License-Identifier: Apache-2.0
"""Runs an older filter: ``process`` of a whole update, or of the model on its way in.

On the way out it is given differences to the received model, in float64; on the way in the
model's weights. A tensor that it drops keeps the received model's values. Memory: two models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import Filter
from mmar_runner_clara_code.api.constants import EventType, FLConstants
from mmar_runner_clara_code.api.context import FLContext
from mmar_runner_clara_code.carrying import fitting, plain, shareable_of, taken_from
from mmar_runner_clara_code.contexts import set_round
from mmar_runner_clara_code.older import Older

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner.interfaces.filter import FilterContext


class ClaraCodeFilter(Filter):
    """Gives an older filter whole updates.

    Args:
        code: The class.

    Raises:
        ComponentBuildError: It cannot be built.
        TypeError: It is no filter.
    """

    on_differences = True
    needs_measure = True

    def __init__(self, code: Blueprint) -> None:
        self._older = Older(code, "process")
        self._context = FLContext()
        self._begun = False
        self._samples = 0.0
        self._came: dict[str, npt.NDArray[Any]] = {}
        self._left: dict[str, npt.NDArray[Any]] = {}

    def begin(self, context: FilterContext) -> None:
        """Hear of a file; one without samples is the model that came."""
        self._came, self._left = {}, {}
        self._samples = context.num_samples
        vars(self)["on_differences"] = self._is_update
        self._context.set_prop(FLConstants.CLIENT_NAME, context.client_name)
        set_round(self._context, context.round, context.num_rounds)
        if not self._begun:
            self._begun = True
            self._older.tell(EventType.START_RUN, self._context)

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Keep a tensor until all are there."""
        self._came[name] = np.array(plain(tensor))

    def measures_again(self) -> bool:
        """Have all of them processed at once."""
        shapes = {name: tensor.shape for name, tensor in self._came.items()}
        kind = UpdateKind.WEIGHT_DIFF if self._is_update else UpdateKind.WEIGHTS
        meta = {FLConstants.NUM_STEPS_CURRENT_ROUND: self._samples} if self._is_update else {}
        shareable = shareable_of(self._came, kind, meta)
        answer = self._older.made.process(shareable, self._context)
        taken = taken_from(self._older, answer, kind, self._came)
        if taken.kind is not kind:
            raise self._older.fail(f"made {taken.kind} of {kind}, which no filter may")
        fitting(self._older, taken.tensors, shapes)
        self._left = taken.tensors
        return False

    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what became of a tensor."""
        if name in self._left:
            return self._left[name].astype(tensor.dtype)
        return np.zeros_like(tensor) if self._is_update else tensor

    @property
    def _is_update(self) -> bool:
        return self._samples > 0
