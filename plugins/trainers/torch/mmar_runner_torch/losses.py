# SPDX-License-Identifier: Apache-2.0
"""Losses, whose weights and distances of classes a configuration can only list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from mmar_runner.errors import ComponentBuildError
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import Blueprint

#: Arguments that hold one number a class, or one a pair of classes.
_WEIGHTS: Final = ("weight", "pos_weight", "ce_weight", "dist_matrix")


def made_for(blueprint: Blueprint) -> dict[str, Any]:
    """Return what a loss is given in place of what is declared, by argument.

    The weights and distances of classes are tensors, and a loss that another one computes is built.

    Raises:
        ComponentBuildError: A list is no row or matrix of numbers, or the inner loss cannot be
            built.
    """
    listed = {name: blueprint.args.get(name) for name in _WEIGHTS}
    tensors = {
        name: _tensor(blueprint.name, name, value)
        for name, value in listed.items()
        if isinstance(value, list)
    }
    inner = {
        name: built_loss(value)
        for name, value in blueprint.args.items()
        if getattr(value, "kind", None) is ComponentKind.LOSS
    }
    return {**tensors, **inner}


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
    loss = blueprint.build(**made_for(blueprint))
    return loss.to(device) if isinstance(loss, nn.Module) else loss
