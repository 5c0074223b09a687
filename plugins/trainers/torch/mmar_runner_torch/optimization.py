# SPDX-License-Identifier: Apache-2.0
"""Optimizers and learning-rate schedules for a round, from what is declared."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from mmar_runner.interfaces.client_trainer import TrainerContext


def optimization(
    context: TrainerContext, train: Mapping[str, Any], network: nn.Module, epochs_done: int
) -> tuple[Optimizer, Any]:
    """Return a new optimizer of a network, and its schedule or None.

    Args:
        context: Builds both.
        train: The section that declares them.
        network: What is to be optimized.
        epochs_done: How far the schedule is.
    """

    def built(kind: ComponentKind, positional: Any) -> Any:
        return context.blueprint(kind, train[kind.value]).build(positional)

    optimizer: Optimizer = built(ComponentKind.OPTIMIZER, network.parameters())
    declaration = train.get("lr_scheduler")
    if not declaration or declaration.get("disabled"):
        return optimizer, None
    scheduler = built(ComponentKind.LR_SCHEDULER, optimizer)
    with warnings.catch_warnings():
        # Torch warns that no step was taken before: the steps were taken in earlier rounds.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(epochs_done):
            scheduler.step()
    return optimizer, scheduler
