# SPDX-License-Identifier: Apache-2.0
"""Trains what ``config_train.json`` declares."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_torch.batches import Pair, loader, pair_of, shares
from mmar_runner_torch.fitting import loss_of, outputs_of, require_finite
from mmar_runner_torch.loop import LocalResult, TorchLoopTrainer
from mmar_runner_torch.measuring import Measuring

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader

    from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask


class TorchTrainer(TorchLoopTrainer):
    """Supervised training, from a model, a loss, an optimizer and a data set by name.

    The optimizer begins afresh every round, since the model it belonged to was replaced.
    The learning-rate schedule counts the epochs of the whole run, not of the round. Several
    processes divide every batch among them, so that they learn what one would.

    Args:
        local_epochs: Passes over the site's data in a round.
        steps_aggregation: Optimizer steps in a round; if positive, goes before epochs.
        send: ``weights`` or ``weight_diff``.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        local_epochs: int = 1,
        steps_aggregation: int = 0,
        *,
        send: str = "weights",
        device: str = "auto",
    ) -> None:
        super().__init__(send=send, device=device)
        self._epochs = local_epochs
        self._steps = steps_aggregation

    def build_network(self, context: TrainerContext) -> nn.Module:
        """Build the declared network, data, loss and metrics."""
        if "train" not in context.train_config:
            raise TaskFailedError("TorchTrainer needs a config_train.json with a 'train' section")
        self._train: Mapping[str, Any] = context.train_config["train"]
        self._dataset = self._built(ComponentKind.DATASET)
        self._loss = self._built(ComponentKind.LOSS)
        validate = context.train_config.get("validate")
        self._measuring = Measuring(context, validate, self._train["loss"]) if validate else None
        network: nn.Module = self._built(ComponentKind.MODEL)
        self._optimization(network, 0)  # so that a wrong argument is found now, not in round 1
        return network

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Return what the ``validate`` section asks for."""
        if self._measuring is None:
            return {}
        return self._measuring.measure(network, self.device)

    def train_round(self, network: nn.Module, task: TrainTask) -> LocalResult:
        """Train for the round's epochs or steps."""
        batches = loader(
            self._dataset, self._train.get("dataloader", {}), task.seed, shuffle=True, batch_size=16
        )
        if not len(batches):
            raise TaskFailedError(f"{len(self._dataset)} samples make no batch with drop_last")
        planned = self._steps or self._epochs * len(batches)
        own = shares(batches, self.team)
        optimizer, scheduler = self._optimization(network, task.round * planned // len(batches))
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        seen = 0
        for number, batch in enumerate(islice(_endless(own.batches), planned), start=1):
            pair = pair_of(batch, self.device)
            counted = own.counted(number, len(pair[0]))
            factor = self._factor(own.whole(number), counted)
            total += self._step(network, optimizer, pair, factor) * counted
            seen += counted
            if scheduler is not None and number % len(batches) == 0:
                scheduler.step()
            task.progress(number, planned)
        require_finite(float(total), batches, planned)
        # With whole epochs every sample counts once, however often it was seen.
        samples = seen if self._steps else seen / self._epochs
        return LocalResult(samples, {"train_loss": float(total) / seen} if seen else {})

    def _factor(self, whole: int, counted: int) -> float:
        """Return what makes the mean of all processes' gradients the one of the whole batch."""
        if self.team.size == 1:
            return 1.0
        if getattr(self._loss, "reduction", "mean") == "sum":
            return float(self.team.size if counted else 0)
        return self.team.size * counted / whole

    def _step(
        self, network: nn.Module, optimizer: Optimizer, pair: Pair, factor: float
    ) -> torch.Tensor:
        inputs, targets = pair
        optimizer.zero_grad(set_to_none=True)
        loss: torch.Tensor = loss_of(self._loss, outputs_of(network, inputs), targets)
        # Nothing is counted of a share that has no sample: its gradient is zero.
        part = loss if factor == 1 else loss * factor
        part.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    def _optimization(self, network: nn.Module, epochs_done: int) -> tuple[Optimizer, Any]:
        optimizer: Optimizer = self._built(ComponentKind.OPTIMIZER, network.parameters())
        declaration = self._train.get("lr_scheduler")
        if not declaration or declaration.get("disabled"):
            return optimizer, None
        scheduler = self._built(ComponentKind.LR_SCHEDULER, optimizer)
        with warnings.catch_warnings():
            # Torch warns that no step was taken before: the steps were taken in earlier rounds.
            warnings.simplefilter("ignore", UserWarning)
            for _ in range(epochs_done):
                scheduler.step()
        return optimizer, scheduler

    def _built(self, kind: ComponentKind, *positional: Any) -> Any:
        return self.context.blueprint(kind, self._train[kind.value]).build(*positional)


def _endless(batches: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from batches
