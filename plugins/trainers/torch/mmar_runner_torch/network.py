# SPDX-License-Identifier: Apache-2.0
"""Global models into networks and back, when a network may hold more than is shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from mmar_runner_torch.files import State

from mmar_runner.errors import SchemaMismatchError


def load_shared(network: nn.Module, shared: Mapping[str, torch.Tensor]) -> None:
    """Copy the shared tensors into a network; its other tensors stay as they are.

    Raises:
        SchemaMismatchError: The network lacks one, or has it in another shape or type.
    """
    own = network.state_dict()
    for name, tensor in shared.items():
        check_tensor(name, tensor, own)
    with torch.no_grad():
        for name, tensor in shared.items():
            own[name].copy_(tensor)


def check_tensor(name: str, tensor: torch.Tensor, own: Mapping[str, torch.Tensor]) -> None:
    """Check that a network's state has a tensor of that name, shape and type.

    Raises:
        SchemaMismatchError: It has not.
    """
    if name not in own:
        raise SchemaMismatchError(
            f"the model has a tensor {name!r} that the declared network lacks",
            hint="the model of config_fed_server.json and of config_train.json must be the same",
        )
    expected = own[name]
    if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
        raise SchemaMismatchError(
            f"tensor {name!r} is {_described(tensor)}; the declared network has "
            f"{_described(expected)}",
            hint="the model of config_fed_server.json and of config_train.json must be the same",
        )


def shared_state(network: nn.Module, names: Mapping[str, torch.Tensor]) -> State:
    """Return copies, on the CPU, of the named tensors of a network."""
    state = network.state_dict()
    return {name: state[name].detach().to("cpu", copy=True) for name in names}


def personal_state(network: nn.Module, shared: Mapping[str, torch.Tensor]) -> State:
    """Return copies, on the CPU, of a network's tensors that are not shared."""
    state = network.state_dict()
    return {n: t.detach().to("cpu", copy=True) for n, t in state.items() if n not in shared}


def difference(after: Mapping[str, torch.Tensor], before: Mapping[str, torch.Tensor]) -> State:
    """Return ``after - before``; booleans, which have no difference, as they are after."""
    return {
        name: tensor if tensor.dtype == torch.bool else tensor - before[name]
        for name, tensor in after.items()
    }


def _described(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
