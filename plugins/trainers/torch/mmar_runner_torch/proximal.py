# SPDX-License-Identifier: Apache-2.0
"""FedProx (Li et al. 2020, arXiv:1812.06127): what holds local training near the global model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Proximal:
    """Adds the gradient of ``mu/2 ||w - w_t||^2``.

    w are the parameters that are trained and shared, w_t is what they are now. The term is one
    of the loss: an optimizer with momentum or moments sees it in the gradient.

    Args:
        parameters: w, holding the round's global model.
        mu: How strongly; 0 does nothing.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], mu: float) -> None:
        self._pairs = [(one, one.detach().clone()) for one in parameters]
        self._mu = mu

    @torch.no_grad()
    def correct(self) -> None:
        """Add ``mu (w - w_t)`` to the gradients."""
        for parameter, start in self._pairs:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.add_(parameter - start, alpha=self._mu)

    def stepped(self, optimizer: Optimizer) -> None:
        """Take note of nothing."""
