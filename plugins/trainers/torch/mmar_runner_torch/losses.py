# SPDX-License-Identifier: Apache-2.0
"""Losses, whose weights of classes a configuration can only list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import Blueprint

#: Arguments that hold one number a class.
_WEIGHTS: Final = ("weight", "pos_weight", "ce_weight")


def weights_of(blueprint: Blueprint) -> dict[str, torch.Tensor]:
    """Return the declared weights of classes as tensors, by argument."""
    listed = {name: blueprint.args.get(name) for name in _WEIGHTS}
    return {
        name: torch.tensor(value, dtype=torch.float32)
        for name, value in listed.items()
        if isinstance(value, list)
    }


def built_loss(blueprint: Blueprint, device: torch.device | None = None) -> Any:
    """Build a loss, with its weights where it computes.

    Args:
        blueprint: Of the loss.
        device: Where that is; None for the CPU.

    Raises:
        ComponentBuildError: It cannot be built.
    """
    loss = blueprint.build(**weights_of(blueprint))
    return loss.to(device) if isinstance(loss, nn.Module) else loss
