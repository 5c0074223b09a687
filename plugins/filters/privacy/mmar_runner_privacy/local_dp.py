# SPDX-License-Identifier: Apache-2.0
"""LocalDP: what leaves a site is differentially private, whoever reads it.

Dwork and Roth, "The algorithmic foundations of differential privacy" (2014); local privacy:
Kasiviswanathan et al., "What can we learn privately?" (2008, arXiv:0803.0924).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import PrivacyBudgetError, TaskFailedError
from mmar_runner_privacy.accountant import Release, epsilon_of
from mmar_runner_privacy.base import NoisyFilter
from mmar_runner_privacy.ledger import PrivacyLedger
from mmar_runner_privacy.noise import Noise
from mmar_runner_privacy.norm_clip import SquaredNorm

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext


class LocalDP(NoisyFilter):
    """Clips the difference, adds Gaussian noise, and counts what that spends.

    The difference over all floating tensors is scaled down to ``max_norm``, and every number
    gets independent noise with the standard deviation ``noise_multiplier`` ``max_norm``. Any two
    clipped updates lie within 2 ``max_norm``, so each release is a Gaussian mechanism with half
    that multiplier: whoever sees all that left can hardly tell which updates, out of all
    possible ones, the site had made.

    A release is on record, on the disk, before its first number goes on; the same bytes once
    more are the same release. One that would spend more than ``epsilon`` fails the task.

    Args:
        max_norm: The largest L2 norm of a difference, above 0.
        noise_multiplier: Standard deviation of the noise, divided by ``max_norm``; above 0.
        epsilon: What all releases on record may spend together, above 0.
        delta: The delta that goes with it, in (0, 1).
    """

    def __init__(
        self, max_norm: float, noise_multiplier: float, epsilon: float, delta: float = 1e-5
    ) -> None:
        super().__init__(max_norm, noise_multiplier)
        self._most = max_norm
        self._deviation = noise_multiplier * max_norm
        self._multiplier = noise_multiplier / 2
        self._budget = epsilon
        self._delta = delta

    def begin(self, context: FilterContext) -> None:
        """Look up what was spent.

        Raises:
            TaskFailedError: The runner gives no secret, or no ledger.
            StorageError: The ledger cannot be read.
        """
        super().begin(context)
        if context.ledger is None:
            raise TaskFailedError("LocalDP needs a ledger, a folder that the site's runner gives")
        self._round = context.round
        self._ledger = PrivacyLedger(context.ledger)
        self._norm = SquaredNorm()
        self._factor: float | None = None

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Let a tensor count in the norm and in the key."""
        super().measure(name, tensor)
        self._norm.see(tensor)

    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a tensor of the release, which is on record by then.

        Raises:
            PrivacyBudgetError: It would spend more than there is.
            StorageError: It cannot be put on record.
        """
        if self._factor is None:
            factor = self._norm.factor(self._most)
            self._charge()
            self._factor = factor
            self._noise = Noise(self.key, "release")
        return super().apply(name, tensor)

    def released(
        self, name: str, start: int, block: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the block, scaled, with noise."""
        assert self._factor is not None  # noqa: S101 - apply has seen to it
        noise = self._noise.normal(name, start, block.size, self._deviation)
        return block * self._factor + noise

    def finish(self) -> Mapping[str, float]:
        """Return what was spent, as ``dp_epsilon``."""
        return {"dp_epsilon": epsilon_of(self._ledger.releases(), self._delta)}

    def _charge(self) -> None:
        # Secret and bytes make the key, and the key makes the noise: its digest names the
        # release and tells nothing of it.
        name = Noise(self.key, "ledger").name
        if name in self._ledger:
            return
        before = self._ledger.releases()
        spent = epsilon_of([*before, Release(self._multiplier)], self._delta)
        if spent > self._budget:
            raise PrivacyBudgetError(
                f"the update of round {self._round} would bring the privacy that is spent to an"
                f" epsilon of {spent:.4g}; LocalDP was given {self._budget:g} (delta"
                f" {self._delta:g}, {len(before)} releases on record)",
                hint="nothing has passed; whoever declared the budget decides whether there is"
                " a larger one",
            )
        self._ledger.record(name, self._round, self._multiplier)
