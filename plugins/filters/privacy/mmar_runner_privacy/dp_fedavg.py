# SPDX-License-Identifier: Apache-2.0
"""DPFedAvg: the global models are differentially private for every client.

McMahan, Ramage, Talwar and Zhang, "Learning differentially private recurrent language models"
(2018, arXiv:1710.06963): flat clipping, an unweighted mean, Gaussian noise on it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner_privacy.accountant import Release, epsilon_of
from mmar_runner_privacy.aligned_norms import AlignedNorms
from mmar_runner_privacy.noise import Noise

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import AggregationContext, Contribution


class DPFedAvg(TensorwiseAggregator):
    """The mean of clipped differences, with noise, up to a privacy budget.

    Each client's difference to the round's model, over all floating tensors together, is scaled
    down to ``max_norm`` S. Their plain mean, n of them, gets noise with the standard deviation
    z S / n on every number, z being ``noise_multiplier``. Whoever sees all the models can then
    hardly tell whether one client had sent what it sent or no difference at all. The server
    sees every update as it is: it is trusted. Whole numbers and booleans keep the model's values.

    Noise is drawn from the server's secret of the round and from what was sent, so that a
    round that is done again gives the same bits, and other updates other noise.

    Args:
        max_norm: S, above 0.
        noise_multiplier: z, above 0.
        max_epsilon: What all rounds may spend together, above 0.
        delta: The delta that goes with it, in (0, 1).
        count_sampling: Whether a round that asks only some of the clients counts as less. That
            is right only for those who do not know whom it asked, and never for the server.
        exclude_vars: Regular expression, searched in tensor names; what matches keeps the
            global model's value. None excludes nothing.

    Raises:
        ValueError: The expression is invalid.
    """

    needs_measure: ClassVar[bool] = True
    on_differences: ClassVar[bool] = True

    def __init__(  # noqa: PLR0917 - the arguments of a declaration
        self,
        max_norm: float,
        noise_multiplier: float,
        max_epsilon: float,
        delta: float = 1e-5,
        count_sampling: bool = False,  # noqa: FBT001, FBT002 - a declaration's arguments
        exclude_vars: str | None = None,
    ) -> None:
        self._most = max_norm
        self._multiplier = noise_multiplier
        self._budget = max_epsilon
        self._delta = delta
        self._count_sampling = count_sampling
        self._exclude = _compiled(exclude_vars) if exclude_vars else None
        self._before: Counter[Release] = Counter()
        self._last = ""  # names the release that was counted last
        self._fits = False

    def foresee(self, start_round: int, num_rounds: int) -> None:
        """Look whether the budget allows every round, where that is known before anybody came.

        Raises:
            RunFailedError: PRIVACY_BUDGET, it does not.
        """
        if num_rounds > start_round and not self._count_sampling:
            self._release = Release(self._multiplier, 1.0)
            self._require(num_rounds - start_round, f"{num_rounds - start_round} rounds")

    def begin(self, context: AggregationContext) -> None:
        """Look whether the budget allows one more release, and at first whether it allows all.

        Raises:
            RunFailedError: PRIVACY_BUDGET, it does not.
        """
        share = min(1.0, context.participants / max(1, context.population))
        self._release = Release(self._multiplier, share if self._count_sampling else 1.0)
        self._context = context
        self._norms: AlignedNorms | None = None
        self._factors: npt.NDArray[np.float64] | None = None
        self._places: Counter[str] = Counter()
        if not self._fits and context.num_rounds > context.round:
            self._require(context.num_rounds - context.round, "the rounds that are left")
        self._fits = True
        self._require(1, f"round {context.round}")

    def weigh(self, contributions: Sequence[Contribution]) -> Sequence[float]:
        """Return the same weight for all: what a client says of itself has no bound."""
        return [1.0] * len(contributions)

    def excludes(self, name: str) -> bool:
        """Return True if ``exclude_vars`` is found in the tensor's name."""
        return self._exclude is not None and self._exclude.search(name) is not None

    def measure(
        self,
        name: str,
        tensors: npt.NDArray[Any],
        weights: npt.NDArray[np.float64],
    ) -> None:
        """Let a block count in the norms."""
        if self._norms is None:
            self._norms = AlignedNorms(weights.size)
        if name not in self._context.integers:
            self._norms.see(name, tensors)

    def combine(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the mean of the clipped differences, with noise; blocks come in order."""
        del weights
        if self._factors is None:
            self._factors = self._clipping()
        if name in self._context.integers:
            return np.zeros(tensors.shape[1])
        total = np.zeros(tensors.shape[1])
        for row, factor in zip(tensors, self._factors, strict=True):
            total += row * factor
        start = self._places[name]
        self._places[name] += tensors.shape[1]
        deviation = self._multiplier * self._most
        total += self._noise.normal(name, start, tensors.shape[1], deviation)
        return total / len(tensors)

    def facts(self) -> Mapping[str, Any]:
        """Count this release, unless it was counted; return what all have spent."""
        if self._factors is not None and self._last != self._noise.name:
            self._before[self._release] += 1
            self._last = self._noise.name
        return {
            "dp_epsilon": epsilon_of(self._before, self._delta),
            "dp_delta": self._delta,
            "releases": [[*release, times] for release, times in sorted(self._before.items())],
            "release": self._last,
        }

    def resume(self, facts: Mapping[str, Any]) -> None:
        """Go on from what was spent."""
        counted = facts.get("releases", ())
        self._before = Counter({Release(noise, share): n for noise, share, n in counted})
        self._last = str(facts.get("release", ""))

    def _clipping(self) -> npt.NDArray[np.float64]:
        """Return what each update is multiplied by, and take up the round's noise."""
        assert self._norms is not None  # noqa: S101 - every block was measured before
        norms = self._norms.norms()
        told = f"{self._most!r} {self._multiplier!r} {self._norms.digest().hex()}"
        self._noise = Noise(self._context.secret, told)
        self._norms = None
        # A norm of infinity gives 0; a difference of 0 is divided by what is not 0.
        return self._most / np.maximum(norms, self._most)

    def _require(self, times: int, what: str) -> None:
        together = self._before + Counter({self._release: times})
        spent = epsilon_of(together, self._delta)
        if spent <= self._budget:
            return
        raise RunFailedError(
            f"{what} would bring the privacy that is spent to an epsilon of {spent:.3g};"
            f" max_epsilon of DPFedAvg is {self._budget:g} (delta {self._delta:g})",
            reason="PRIVACY_BUDGET",
            hint=f"it allows {self._allowed()} more rounds like this one: write a smaller"
            " num_rounds, or a larger noise_multiplier",
        )

    def _allowed(self) -> int:
        """Return how many further releases the budget allows."""
        allowed, beyond = 0, 1
        while self._spent(beyond) <= self._budget:
            allowed, beyond = beyond, 2 * beyond
        while beyond - allowed > 1:
            middle = (allowed + beyond) // 2
            allowed, beyond = (
                (middle, beyond) if self._spent(middle) <= self._budget else (allowed, middle)
            )
        return allowed

    def _spent(self, times: int) -> float:
        return epsilon_of(self._before + Counter({self._release: times}), self._delta)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        message = f"exclude_vars {pattern!r} is not a regular expression: {error}"
        raise ValueError(message) from error
