# SPDX-License-Identifier: Apache-2.0
"""Server optimizers: FedAvgM (Hsu et al., 2019) and algorithm 2 of Reddi et al., 2020.

With D the mean of the clients' differences in a round, weighted by samples, and x the model:

- FedAvgM (arXiv:1909.06335): ``m = momentum m + D``, ``x = x + rate m``.
- The others (arXiv:2003.00295): ``m = beta1 m + (1 - beta1) D``, then a second moment ``v``,
  then ``x = x + rate m / (sqrt(v) + tau)``. Before the first round m is 0 and v is tau squared,
  the least that the algorithm allows. As there, no bias is corrected.

Each is written element by element, so where a block begins changes no bit.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmar_runner.interfaces.server_state import StatefulAggregator
from mmar_runner_fedavg.fedavg import FedAvg

if TYPE_CHECKING:
    from typing import TypeAlias

    Block: TypeAlias = npt.NDArray[np.float64]


class FedAvgM(FedAvg, StatefulAggregator):
    """Federated averaging with momentum at the server (Hsu et al., 2019, arXiv:1909.06335).

    Args:
        server_learning_rate: Factor of the step, above 0.
        momentum: Which part of the last step goes on, from 0 to below 1; with 0, and a
            learning rate of 1, this is FedAvg.
        aggregation_weights: As of FedAvg.
        exclude_vars: As of FedAvg.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(
        self,
        server_learning_rate: float = 1.0,
        momentum: float = 0.9,
        aggregation_weights: Mapping[str, float] | None = None,
        exclude_vars: str | None = None,
    ) -> None:
        super().__init__(aggregation_weights, exclude_vars)
        self._rate = _positive("server_learning_rate", server_learning_rate)
        self._momentum = _decay("momentum", momentum)
        self.state = {"momentum": 0.0}

    def step(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        base: Block,  # noqa: ARG002
        mean: Block,
        state: Mapping[str, Block],
    ) -> Block:
        """Return ``rate m``, with ``m`` brought forward."""
        momentum = state["momentum"]
        momentum *= self._momentum
        momentum += mean
        return momentum * self._rate


class _Adaptive(FedAvg, StatefulAggregator):
    """Algorithm 2 of Reddi et al., 2020, for any second moment.

    Args:
        server_learning_rate: Factor of the step, above 0.
        beta1: How slowly the mean difference is forgotten, from 0 to below 1.
        tau: What is added to the root of the second moment, above 0: the smaller it is, the
            more the step adapts to each element.
        aggregation_weights: As of FedAvg.
        exclude_vars: As of FedAvg.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(
        self,
        server_learning_rate: float,
        beta1: float,
        tau: float,
        aggregation_weights: Mapping[str, float] | None,
        exclude_vars: str | None,
    ) -> None:
        super().__init__(aggregation_weights, exclude_vars)
        self._rate = _positive("server_learning_rate", server_learning_rate)
        self._beta1 = _decay("beta1", beta1)
        self._tau = _positive("tau", tau)
        self.state = {"first_moment": 0.0, "second_moment": self._tau**2}

    def step(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        base: Block,  # noqa: ARG002
        mean: Block,
        state: Mapping[str, Block],
    ) -> Block:
        """Return ``rate m / (sqrt(v) + tau)``, with both moments brought forward."""
        first, second = state["first_moment"], state["second_moment"]
        first *= self._beta1
        first += (1 - self._beta1) * mean
        self._bring_forward(second, mean * mean)
        return self._rate * first / (np.sqrt(second) + self._tau)

    @abstractmethod
    def _bring_forward(self, second: Block, square: Block) -> None:
        """Bring the second moment forward, in place, by the square of the mean difference."""


class FedAdagrad(_Adaptive):
    """``v = v + D D``: a step becomes smaller with all that was seen. Arguments: `_Adaptive`."""

    def __init__(
        self,
        server_learning_rate: float = 0.01,
        beta1: float = 0.0,
        tau: float = 1e-3,
        aggregation_weights: Mapping[str, float] | None = None,
        exclude_vars: str | None = None,
    ) -> None:
        super().__init__(server_learning_rate, beta1, tau, aggregation_weights, exclude_vars)

    def _bring_forward(self, second: Block, square: Block) -> None:
        second += square


class _Forgetting(_Adaptive):
    """A second moment that forgets; further arguments as of `_Adaptive`.

    Args:
        beta2: How slowly it does, from 0 to below 1.
    """

    def __init__(
        self,
        server_learning_rate: float = 0.01,
        *,
        beta1: float = 0.9,
        beta2: float = 0.99,
        tau: float = 1e-3,
        aggregation_weights: Mapping[str, float] | None = None,
        exclude_vars: str | None = None,
    ) -> None:
        super().__init__(server_learning_rate, beta1, tau, aggregation_weights, exclude_vars)
        self._beta2 = _decay("beta2", beta2)


class FedYogi(_Forgetting):
    """``v = v - (1 - beta2) D D sign(v - D D)``: v changes by no more than the newest square."""

    def _bring_forward(self, second: Block, square: Block) -> None:
        second -= (1 - self._beta2) * square * np.sign(second - square)


class FedAdam(_Forgetting):
    """``v = beta2 v + (1 - beta2) D D``: v is an average of the squares."""

    def _bring_forward(self, second: Block, square: Block) -> None:
        second *= self._beta2
        second += (1 - self._beta2) * square


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}, not a finite number above 0")
    return float(value)


def _decay(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}, not from 0 to below 1")
    return float(value)
