# SPDX-License-Identifier: Apache-2.0
"""Batches of data, and what they mean to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mmar_runner.errors import TaskFailedError

Pair = tuple[torch.Tensor, torch.Tensor]


def loader(
    dataset: Dataset[Any], declaration: Mapping[str, Any], seed: int, **defaults: Any
) -> DataLoader[Any]:
    """Return a loader whose order comes from the seed.

    Args:
        dataset: Map-style; items are pairs, or mappings with ``image`` and ``label``.
        declaration: ``{"args": {...}}`` as the configuration has it.
        seed: Where the order comes from.
        defaults: Arguments that the declaration may overrule.
    """
    generator = torch.Generator().manual_seed(seed)
    arguments = {**defaults, **declaration.get("args", {})}
    return DataLoader(dataset, generator=generator, **arguments)


def pair_of(batch: Any, device: torch.device) -> Pair:
    """Return inputs and targets of a batch, on the device.

    Raises:
        TaskFailedError: The batch is neither a pair nor a mapping with image and label.
    """
    if isinstance(batch, Mapping) and {"image", "label"} <= batch.keys():
        inputs, targets = batch["image"], batch["label"]
    elif isinstance(batch, (list, tuple)) and len(batch) == 2:  # noqa: PLR2004
        inputs, targets = batch
    else:
        raise TaskFailedError(
            f"the data set yields {type(batch).__name__} batches",
            hint="items must be (input, target), or mappings with 'image' and 'label'",
        )
    return inputs.to(device), targets.to(device)


def matched(outputs: torch.Tensor, targets: torch.Tensor) -> Pair:
    """Make outputs and targets fit each other.

    A network with one output a sample answers ``[batch]`` rather than ``[batch, 1]``,
    and targets of the outputs' shape take the outputs' type, as losses of such pairs
    expect. Class numbers stay what they are.
    """
    if outputs.shape[1:] == (1,) and targets.ndim == 1:
        outputs = outputs.squeeze(1)
    if outputs.shape == targets.shape:
        targets = targets.to(outputs.dtype)
    return outputs, targets
