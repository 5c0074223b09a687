# SPDX-License-Identifier: Apache-2.0
"""DP-SGD (Abadi et al. 2016, arXiv:1607.00133) at a client, by Opacus.

Every sample's gradient is clipped, their sum is noised, and what the run has spent is on record
before a round begins. Neither the noise nor the choice of samples comes from the task's seed: the
server knows that. Both come from 64 bits of the operating system's randomness that are drawn for
every task and kept nowhere, so a task that is repeated gives another update, and is paid again.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mmar_runner.errors import TaskFailedError
from mmar_runner_torch.poisson import PoissonOrder
from mmar_runner_torch.privacy_ledger import LEDGER_FILE, PrivacyLedger
from mmar_runner_torch.stepping import Correction, Stepper

if TYPE_CHECKING:
    from pathlib import Path

    from torch.optim import Optimizer

    from mmar_runner_torch.batches import Pair

_log = logging.getLogger(__name__)

_MISSING = "install the extra: pip install 'mmar-runner-torch[dp]'"
_UNFIT = (
    "config_train.json: a 'model' whose layers treat every sample by itself, such as GroupNorm "
    "in place of BatchNorm"
)
_LOSS = (
    "config_train.json: 'reduction' \"sum\" for the 'loss', or no 'weight': with a mean over "
    "weights a sample's gradient depends on the others, and clipping it would bound nothing"
)


class DpSgd:
    """What makes the rounds of one site private.

    Args:
        settings: ``max_grad_norm``, ``noise_multiplier``, ``delta``, and maybe ``max_epsilon``.
        workspace: A folder of this site and run, where the ledger lies.
        processes: How many train together; more than one is refused.

    Raises:
        TaskFailedError: Opacus is not installed, or there are several processes.
    """

    def __init__(self, settings: Mapping[str, Any], workspace: Path, processes: int) -> None:
        try:
            import opacus  # noqa: F401, PLC0415 - an optional dependency, three seconds long
        except ImportError as error:
            raise TaskFailedError(f"'dp' needs Opacus: {error}", hint=_MISSING) from error
        if processes > 1:
            message = f"'dp' trains in one process, and there are {processes}"
            raise TaskFailedError(message, hint="start the client with one process")
        self._clip = float(settings["max_grad_norm"])
        self._noise = float(settings["noise_multiplier"])
        limit = settings.get("max_epsilon")
        self._ledger = PrivacyLedger(workspace / LEDGER_FILE, float(settings["delta"]), limit)

    def require_fit(self, network: nn.Module, loss: Any) -> None:
        """Let nobody train privately what mixes the samples of a batch.

        Raises:
            TaskFailedError: A layer does (the message is Opacus's), or the loss does.
        """
        if _weighs_by_others(loss):
            message = f"'dp' cannot train: {type(loss).__name__} divides by the batch's weights"
            raise TaskFailedError(message, hint=_LOSS)
        from opacus.validators import ModuleValidator  # noqa: PLC0415

        found = ModuleValidator.validate(network, strict=False)
        if found:
            said = str(found[0]).partition(". ")[0]
            raise TaskFailedError(f"'dp' cannot train this network: {said}", hint=_UNFIT)

    def order(self, dataset: Any, declaration: Mapping[str, Any]) -> PoissonOrder:
        """Return batches that are drawn by chance; see `PoissonOrder`."""
        return PoissonOrder(dataset, declaration, _secret_generator(torch.device("cpu")))

    def spend(self, order: PoissonOrder, steps: int, rounds: int) -> float:
        """Put a round's steps on record, and return the epsilon that all have cost.

        Args:
            order: Says with what chance a sample is drawn.
            steps: Of the round.
            rounds: How many there are still to be, this one included, if the site takes part in
                each; when the first is begun, the log says if the budget is too small for them.

        Raises:
            PrivacyBudgetError: They would pass the budget.
            StorageError: The record cannot be read or written.
        """
        spent = (self._noise, order.rate, steps)
        if not self._ledger.history() and not self._ledger.lasts(spent, rounds):
            _log.warning("max_epsilon does not last for the %d rounds of the run", rounds)
        return self._ledger.spend(spent)

    @contextmanager
    def stepper(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        corrections: Sequence[Correction],
        batch: int,
        loss: Any,
    ) -> Iterator[PrivateStepper]:
        """Let a network tell its gradients sample by sample, for as long as the round lasts.

        Args:
            network: On its device.
            optimizer: Of its parameters.
            corrections: What changes gradients that are clipped and noised already.
            batch: The mean size of a batch.
            loss: A mean over the samples of a batch, unless its ``reduction`` is ``sum``.

        Raises:
            TaskFailedError: Opacus cannot tell the gradients of a layer apart.
        """
        from opacus import GradSampleModule  # noqa: PLC0415
        from opacus.optimizers import DPOptimizer  # noqa: PLC0415

        reduction = "sum" if getattr(loss, "reduction", "mean") == "sum" else "mean"
        try:
            private = GradSampleModule(network, loss_reduction=reduction)
        except NotImplementedError as error:
            raise TaskFailedError(f"'dp' cannot train: {error}", hint=_UNFIT) from error
        device = next(network.parameters()).device
        noising = DPOptimizer(
            optimizer,
            noise_multiplier=self._noise,
            max_grad_norm=self._clip,
            expected_batch_size=batch,
            loss_reduction=reduction,
            generator=_secret_generator(device),
        )
        try:
            yield PrivateStepper(private, noising, corrections, device)
        finally:
            private.to_standard_module()


class PrivateStepper(Stepper):
    """Takes steps along gradients that are clipped sample by sample, and noised."""

    def loss(self, pair: Pair, loss: Any) -> torch.Tensor:
        """Return the loss of a batch; see `Stepper.loss`."""
        with _quiet():
            return super().loss(pair, loss)

    def backward(self, loss: torch.Tensor) -> None:
        """Find the gradient of every sample."""
        with _quiet():
            loss.backward()  # type: ignore[no-untyped-call]

    def nothing(self) -> None:
        """Stand for a batch without samples: its step is noise alone."""
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                empty = parameter.new_zeros((0, *parameter.shape))
                parameter.grad_sample = empty  # type: ignore[attr-defined]

    def step(self) -> None:
        """Clip, add up and noise the gradients, correct them, take the step, forget them."""
        optimizer: Any = self.optimizer
        try:
            optimizer.pre_step()
        except ValueError as error:
            raise TaskFailedError(f"'dp' cannot train: {error}", hint=_UNFIT) from error
        self._correct()
        optimizer.original_optimizer.step()
        self._note()
        optimizer.zero_grad(set_to_none=True)


def _weighs_by_others(loss: Any) -> bool:
    weighted = isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) and loss.weight is not None
    return weighted and loss.reduction == "mean"


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # Torch says of Opacus's hooks that inputs have no gradients, which is as it must be.
        warnings.simplefilter("ignore", UserWarning)
        yield


def _secret_generator(device: torch.device) -> torch.Generator:
    """Return a generator that nobody can foresee who has not seen its seed."""
    return torch.Generator(device).manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)
