# SPDX-License-Identifier: Apache-2.0
"""The steps of one round of local training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mmar_runner_torch.batches import pair_of
from mmar_runner_torch.private import PrivateStepper

if TYPE_CHECKING:
    from mmar_runner_torch.order import Order
    from mmar_runner_torch.poisson import PoissonOrder
    from mmar_runner_torch.stepping import Stepper


@dataclass(frozen=True, slots=True)
class Seen:
    """What the steps of a round came to, in this process.

    Attributes:
        samples: How many were counted, each as often as it was seen.
        loss: Summed over them.
    """

    samples: int
    loss: float


@dataclass(frozen=True, slots=True)
class LocalRound:
    """Takes the steps of a round.

    Attributes:
        order: Which batches, and which of them make a step.
        stepper: Takes a step.
        loss: Of a batch.
        device: Where is computed.
        after_step: Called with the number of steps that were taken.
    """

    order: Order | PoissonOrder
    stepper: Stepper
    loss: Any
    device: torch.device
    after_step: Callable[[int], None]

    def run(self, steps: int) -> Seen:
        """Take so many steps.

        Raises:
            TaskFailedError: Data, network and loss do not fit each other.
        """
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        seen = taken = 0
        for piece in self.order.pieces(steps):
            if piece.batch is not None:
                counted, loss = self._learn(piece)
                total += loss * counted
                seen += counted
            elif isinstance(self.stepper, PrivateStepper):
                self.stepper.nothing()
            if piece.ends_step:
                self.stepper.step()
                taken += 1
                self.after_step(taken)
        return Seen(seen, float(total))

    def _learn(self, piece: Any) -> tuple[int, torch.Tensor]:
        pair = pair_of(piece.batch, self.device)
        counted = self.order.counted(piece, len(pair[0]))
        sums = getattr(self.loss, "reduction", "mean") == "sum"
        factor = self.order.factor(piece, counted, sums=sums)
        loss = self.stepper.loss(pair, self.loss)
        # Nothing is counted of a share that has no sample: its gradient is zero.
        self.stepper.backward(loss if factor == 1 else loss * factor)
        return counted, loss.detach()
