# SPDX-License-Identifier: Apache-2.0
"""What of a privacy budget is spent, on record at the site before anything is trained.

Spending is composed by Renyi differential privacy (Mironov 2017, arXiv:1702.07476) of the
subsampled Gaussian mechanism (Mironov et al. 2019, arXiv:1908.10530), as Opacus computes it.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import PrivacyBudgetError
from mmar_runner.storage.atomic import translated, write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path

#: In a trainer's own folder of a run, not in its state: what is not acknowledged counts too.
LEDGER_FILE: Final = "privacy_ledger.json"

#: Noise multiplier, sampling rate and number of steps.
Spent = tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class PrivacyLedger:
    """The history of one site in one run.

    Attributes:
        path: The file that holds it.
        delta: The probability with which epsilon need not hold.
        max_epsilon: What must not be passed, or None.
    """

    path: Path
    delta: float
    max_epsilon: float | None

    def spend(self, spent: Spent) -> float:
        """Put steps on record and return the epsilon of all that are, these included.

        They count from now on, whatever becomes of them: a task that fails or whose update is
        never acknowledged may have been seen.

        Raises:
            PrivacyBudgetError: The budget would be passed; nothing was put on record.
            StorageError: The record cannot be read or written.
        """
        history = [*self.history(), spent]
        epsilon = _epsilon(history, self.delta)
        if self.max_epsilon is not None and epsilon > self.max_epsilon:
            raise PrivacyBudgetError(
                f"{spent[2]} more steps would make epsilon {epsilon:.4g} at delta {self.delta:g}, "
                f"and max_epsilon is {self.max_epsilon:g}",
                hint="'dp' of the trainer allows no more of this run: with more noise, smaller "
                "batches or fewer steps it would last longer",
            )
        write_json_atomic(self.path, {"history": history}, durable=True)
        return epsilon

    def lasts(self, spent: Spent, rounds: int) -> bool:
        """Return whether the budget lasts for so many more rounds of the same cost.

        Raises:
            StorageError: The record cannot be read.
        """
        if self.max_epsilon is None or rounds < 1:
            return True
        noise, rate, steps = spent
        history = [*self.history(), (noise, rate, steps * rounds)]
        return _epsilon(history, self.delta) <= self.max_epsilon

    def history(self) -> list[Spent]:
        """Return what was spent, oldest first.

        Raises:
            StorageError: The record cannot be read.
        """
        if not self.path.exists():
            return []
        with translated(self.path):
            told = json.loads(self.path.read_bytes())["history"]
        return [(float(noise), float(rate), int(steps)) for noise, rate, steps in told]


def _epsilon(history: list[Spent], delta: float) -> float:
    from opacus.accountants import RDPAccountant  # noqa: PLC0415 - an optional dependency

    accountant = RDPAccountant()
    accountant.history = _joined(history)
    with warnings.catch_warnings():
        # Opacus warns where a finer choice of orders would give a smaller, equally true number.
        warnings.simplefilter("ignore", UserWarning)
        return float(accountant.get_epsilon(delta=delta))


def _joined(history: list[Spent]) -> list[Spent]:
    """Return the same spending with equal steps counted together, as it is much quicker."""
    counted: dict[tuple[float, float], int] = {}
    for noise, rate, steps in history:
        counted[noise, rate] = counted.get((noise, rate), 0) + steps
    return [(noise, rate, steps) for (noise, rate), steps in counted.items()]
