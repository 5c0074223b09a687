# SPDX-License-Identifier: Apache-2.0
"""Tensors that travel beside the model's own: companions, such as control variates.

A trainer that does not train by them, a persistor and a validator leave them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmar_runner.interfaces.companions import is_companion

if TYPE_CHECKING:
    import torch

    from mmar_runner_torch.files import State


def parted(state: Mapping[str, torch.Tensor]) -> tuple[State, State]:
    """Return a file's own tensors, and those that only travel with them.

    Args:
        state: All of them, by name.
    """
    own: State = {}
    beside: State = {}
    for name, tensor in state.items():
        (beside if is_companion(name) else own)[name] = tensor
    return own, beside
