# SPDX-License-Identifier: Apache-2.0
"""Losses, whose weights and distances of classes a configuration can only list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from mmar_runner.errors import ComponentBuildError

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import Blueprint

#: Arguments that hold one number a class, or one a pair of classes.
_WEIGHTS: Final = ("weight", "pos_weight", "ce_weight", "dist_matrix")


def weights_of(blueprint: Blueprint) -> dict[str, torch.Tensor]:
    """Return the declared weights and distances of classes as tensors, by argument.

    Raises:
        ComponentBuildError: A list is no row or matrix of numbers.
    """
    listed = {name: blueprint.args.get(name) for name in _WEIGHTS}
    return {
        name: _tensor(blueprint.name, name, value)
        for name, value in listed.items()
        if isinstance(value, list)
    }


def _tensor(loss: str, argument: str, value: list[Any]) -> torch.Tensor:
    try:
        return torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError) as error:
        message = f"loss {loss!r}: '{argument}' is no row or matrix of numbers: {error}"
        raise ComponentBuildError(message, hint="give every row as many numbers") from error


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
