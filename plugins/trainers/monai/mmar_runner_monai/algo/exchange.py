# SPDX-License-Identifier: Apache-2.0
"""Between safetensors files and what an algorithm is given and gives back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from mmar_runner.errors import SchemaMismatchError, TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind

if TYPE_CHECKING:
    from mmar_runner_torch.files import State

#: How MONAI calls what weights are: its ``WeightType``.
_WEIGHTS: Final = "fl_weights_full"
_DIFFERENCES: Final = "fl_weight_diff"


def given(state: State, tensors: str) -> dict[str, Any]:
    """Return copies of a model's tensors as an algorithm takes them.

    Args:
        state: The model, on the CPU.
        tensors: ``torch`` or ``numpy``.

    Raises:
        TaskFailedError: numpy has no type of that name (bfloat16, float8).
    """
    copies = {name: tensor.clone() for name, tensor in state.items()}
    if tensors == "torch":
        return copies
    try:
        return {name: tensor.numpy() for name, tensor in copies.items()}
    except TypeError as error:
        msg = f"the model cannot be given as numpy's arrays: {error}"
        raise TaskFailedError(msg, hint='set "tensors" to "torch"') from error


def update_of(returned: Any, received: State, send: UpdateKind) -> State:
    """Return the tensors of an update.

    A tensor that the algorithm leaves out keeps the received value.

    Args:
        returned: What ``get_weights`` gave.
        received: The round's global model.
        send: What the update is to hold, whichever the algorithm returned.

    Raises:
        TaskFailedError: It gave no weights, or did not say what they are.
        SchemaMismatchError: A tensor is none of the model's, or has another shape.
    """
    weights, kind = getattr(returned, "weights", None), getattr(returned, "weight_type", None)
    if not isinstance(weights, Mapping) or not weights:
        raise TaskFailedError("get_weights returned no weights")
    if kind not in {_WEIGHTS, _DIFFERENCES}:
        msg = f"get_weights said that its weights are {str(kind)!a}"
        raise TaskFailedError(msg, hint="set weight_type to WeightType.WEIGHTS or WEIGHT_DIFF")
    unknown = [str(name) for name in weights if name not in received]
    if unknown:
        msg = f"get_weights returned a tensor {unknown[0]!r} that the model lacks"
        raise SchemaMismatchError(msg, hint="return the tensors of the received model")
    return {
        name: _sent(name, weights.get(name), before, differs=kind == _DIFFERENCES, send=send)
        for name, before in received.items()
    }


def _sent(
    name: str, value: Any, before: torch.Tensor, *, differs: bool, send: UpdateKind
) -> torch.Tensor:
    send_difference = send is UpdateKind.WEIGHT_DIFF and before.dtype != torch.bool
    if value is None:
        return torch.zeros_like(before) if send_difference else before.clone()
    found = _tensor(name, value, before)
    if differs == send_difference or before.dtype == torch.bool:
        return _cast(found, before)
    if send_difference:
        return _cast(found, before) - before
    # In the wider of both types: a difference is small, and may be more exact than the sum.
    return _cast(before + found, before)


def _tensor(name: str, value: Any, before: torch.Tensor) -> torch.Tensor:
    try:
        found = torch.as_tensor(value).detach().cpu().as_subclass(torch.Tensor)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"get_weights returned something for {name!r} that is no tensor: {error}"
        raise TaskFailedError(msg) from error
    if found.numel() != before.numel():
        shapes = f"{list(found.shape)}; the model has {list(before.shape)}"
        raise SchemaMismatchError(f"get_weights returned a tensor {name!r} of the shape {shapes}")
    return found.reshape(before.shape)


def _cast(found: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    whole = not like.dtype.is_floating_point and like.dtype != torch.bool
    rounded = found.round() if whole and found.dtype.is_floating_point else found
    return rounded.to(like.dtype)


def numbers(named: Any) -> dict[str, float]:
    """Return what of metrics or statistics is one finite number, by name."""
    if not isinstance(named, Mapping):
        return {}
    found = {str(name): _number(value) for name, value in named.items()}
    return {name: value for name, value in found.items() if value is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, (torch.Tensor, np.ndarray)) and math.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, (bool, int, float, np.number, np.bool_)):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
