# SPDX-License-Identifier: Apache-2.0
"""How a step is taken: forward, backward, what algorithms add to the gradients, the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import torch

from mmar_runner_torch.fitting import loss_of, outputs_of

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from mmar_runner_torch.batches import Pair


class Correction(Protocol):
    """What an algorithm does to the gradients of a step."""

    def correct(self) -> None:
        """Change the gradients of the step that is about to be taken."""
        ...

    def stepped(self, optimizer: Optimizer) -> None:
        """Take note of a step that was taken, before its learning rate changes."""
        ...


class Stepper:
    """Takes steps with one network and one optimizer.

    In mixed precision the network computes under autocast, in bfloat16 on a CPU, in float16
    with scaled losses on CUDA; weights, losses and gradients stay what they are.

    Args:
        network: What is asked for outputs.
        optimizer: Of its parameters.
        corrections: What changes the gradients, in this order.
        device: Where is computed.
        amp: Whether to compute in mixed precision.
        scale: What a stepper of the last round said in `scale`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        corrections: Sequence[Correction],
        device: torch.device,
        *,
        amp: bool = False,
        scale: dict[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.corrections = corrections
        self._amp = amp
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type, enabled=amp and device.type == "cuda")
        if scale:
            self._scaler.load_state_dict(scale)
        optimizer.zero_grad(set_to_none=True)

    @property
    def scale(self) -> dict[str, Any]:
        """What losses are scaled by, as JSON values; empty if they are not."""
        return self._scaler.state_dict()

    def loss(self, pair: Pair, loss: Any) -> torch.Tensor:
        """Return the loss of a batch.

        Raises:
            TaskFailedError: Inputs, network, loss and targets do not fit each other.
        """
        inputs, targets = pair
        with self._autocast():
            outputs = outputs_of(self.network, inputs)
        if self._amp:
            outputs = outputs.float()  # a mean over many samples needs more than eight bits
        found: torch.Tensor = loss_of(loss, outputs, targets)
        return found

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss to those that are there."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Correct the gradients, let the optimizer take its step, forget the gradients."""
        self._scaler.unscale_(self.optimizer)
        self._correct()
        before = self._scaler.get_scale()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        if self._scaler.get_scale() >= before:  # else gradients were too large: no step was taken
            self._note()
        self.optimizer.zero_grad(set_to_none=True)

    def _correct(self) -> None:
        for one in self.corrections:
            one.correct()

    def _note(self) -> None:
        for one in self.corrections:
            one.stepped(self.optimizer)

    def _autocast(self) -> AbstractContextManager[Any]:
        half = torch.float16 if self._device.type == "cuda" else torch.bfloat16
        return torch.autocast(self._device.type, half, enabled=self._amp)
