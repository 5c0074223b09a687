# SPDX-License-Identifier: Apache-2.0
"""The server of SCAFFOLD (Karimireddy et al., 2020, arXiv:1910.06378, algorithm 1).

With S the clients of a round, N all clients, y_i what client i made of the model x, and
c_i+ - c_i what its control variate has changed by::

    x = x + rate / |S| * sum(y_i - x)
    c = c + 1 / N * sum(c_i+ - c_i)

Both stand in the model file: c as ``control_variate/NAME`` beside x as ``NAME``. So the server
keeps nothing else, and a run that is killed goes on as any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import AggregationContext, Contribution, UpdateKind
from mmar_runner.interfaces.companions import accompanied, is_companion
from mmar_runner.interfaces.server_state import StatefulAggregator
from mmar_runner_fedavg.fedavg import FedAvg

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    Block: TypeAlias = npt.NDArray[np.float64]


class Scaffold(FedAvg, StatefulAggregator):
    """Means of the clients' differences and of the changes of their control variates.

    Args:
        server_learning_rate: Factor of the model's step, above 0.
        num_clients: The number of all clients, at least 1; None for ``min_num_clients``. It is
            never taken to be less than the updates of a round.
        exclude_vars: Regular expression, searched in tensor names; what matches keeps the
            global model's value, and has no control variate.

    Raises:
        ValueError: An argument is outside its range.
    """

    # Its second mean is over all clients, not over those of a round.
    composes: ClassVar[bool] = False

    def __init__(
        self,
        server_learning_rate: float = 1.0,
        num_clients: int | None = None,
        exclude_vars: str | None = None,
    ) -> None:
        super().__init__(exclude_vars=exclude_vars)
        if not (math.isfinite(server_learning_rate) and server_learning_rate > 0):
            message = f"server_learning_rate is {server_learning_rate}, not a number above 0"
            raise ValueError(message)
        if num_clients is not None and num_clients < 1:
            raise ValueError(f"num_clients is {num_clients}, not at least 1")
        self._rate = float(server_learning_rate)
        self._num_clients = num_clients
        self._population = num_clients or 1
        self._share = 1.0

    def begin(self, context: AggregationContext) -> None:
        """Take the number of all clients from the run, unless it was given."""
        self._population = self._num_clients or context.minimum

    def weigh(self, contributions: Sequence[Contribution]) -> Sequence[float]:
        """Return 1 for each: in the paper every client counts alike.

        Raises:
            RunFailedError: An update holds weights, and so no change of a variate.
        """
        for contribution in contributions:
            if contribution.kind is not UpdateKind.WEIGHT_DIFF:
                msg = f"the update of {contribution.client} holds weights, and no differences"
                hint = "declare a trainer that sends control variates: they change by differences"
                raise RunFailedError(msg, hint=hint)
        self._share = len(contributions) / max(len(contributions), self._population)
        return [1.0] * len(contributions)

    def excludes(self, name: str) -> bool:
        """Return True if ``exclude_vars`` is found in the name of the tensor that is meant."""
        return super().excludes(accompanied(name))

    def step(
        self,
        name: str,
        base: Block,  # noqa: ARG002 - the interface's signature
        mean: Block,
        state: Mapping[str, Block],  # noqa: ARG002 - nothing is kept
    ) -> Block:
        """Return what is added: to x by the learning rate, to c by the share of all clients."""
        return mean * (self._share if is_companion(name) else self._rate)
