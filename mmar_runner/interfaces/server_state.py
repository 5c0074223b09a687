# SPDX-License-Identifier: Apache-2.0
"""What an aggregator must be that keeps tensors of its own from round to round.

A server optimizer takes the mean of the clients' differences for a gradient and makes its own
step of it, with momenta that it keeps. The server holds neither the model nor those momenta
in memory: they lie in a file beside the model, and the rule sees a block of each::

    class FedAvgM(StatefulAggregator):
        state = {"momentum": 0.0}

        def combine(self, name, tensors, weights):
            return (weights[:, None] * tensors).sum(axis=0) / weights.sum()

        def step(self, name, base, mean, state):
            state["momentum"][:] = 0.9 * state["momentum"] + mean
            return state["momentum"]

What the server does around it: it keeps the file of each round as long as the round's model,
has its sha256 on record, and goes back with it if a run does. A rule therefore keeps nothing
in itself: the same round may be walked twice, and each walk begins from the same file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from mmar_runner.interfaces.aggregator import TensorwiseAggregator

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class StatefulAggregator(TensorwiseAggregator):
    """An aggregator with tensors of its own: one for each slot and floating tensor of the model.

    `combine`, or `fold` and `finish`, see differences to the round's model, in float64, whatever
    clients sent, and give their mean. `step` makes of it what is added to the model. Integer and
    boolean tensors have no state and make no step: to them the mean itself is added.

    Attributes:
        state: The slots: what each of them holds before the first round, by name. It may be set
            by an instance, since it may depend on arguments; it never changes afterwards.
    """

    on_differences: ClassVar[bool] = True
    state: Mapping[str, float] = MappingProxyType({})

    @abstractmethod
    def step(
        self,
        name: str,
        base: npt.NDArray[np.float64],
        mean: npt.NDArray[np.float64],
        state: Mapping[str, npt.NDArray[np.float64]],
    ) -> npt.NDArray[Any]:
        """Return what is added to one block of the model, and bring the state forward.

        Args:
            name: The tensor's name; it is floating, and not excluded.
            base: The block of the round's model, shape ``[block]``.
            mean: What `combine` or `finish` gave for it, shape ``[block]``.
            state: The block of each slot, shape ``[block]``; what is written into it is what
                the next round finds.

        Returns:
            Shape ``[block]``, normally float64. The value of an element, here and in the state,
            must not depend on where the block begins or ends.
        """
