# SPDX-License-Identifier: Apache-2.0
"""Networks and losses called so that what does not fit is said in numbers.

Torch names the matrices that it could not multiply. Whoever wrote a configuration knows the data
set, the network and the loss, and has to hear which of them want what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import nn

from mmar_runner.errors import TaskFailedError
from mmar_runner_torch.batches import matched, pair_of

#: What torch raises for shapes and class numbers that do not fit.
_UNFIT: Final = (RuntimeError, ValueError, IndexError)
#: How a first layer says what it takes, and in which dimension of its input it does.
_TAKES: Final[dict[type[nn.Module], tuple[str, int]]] = {
    nn.Linear: ("in_features", -1),
    nn.Conv1d: ("in_channels", 1),
    nn.Conv2d: ("in_channels", 1),
    nn.Conv3d: ("in_channels", 1),
}
_NETWORK: Final = "config_train.json: the 'model' must take what the 'dataset' gives"
_LOSS: Final = (
    "config_train.json: 'model', 'loss' and 'dataset' must agree; MSELoss and BCEWithLogitsLoss "
    "want an output for every target, CrossEntropyLoss one for every class, and classes from 0"
)
_DIVERGED: Final = "the data is finite: lower the learning rate, lr of 'optimizer'"


def outputs_of(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Return what a network makes of a batch.

    Raises:
        TaskFailedError: It does not take such inputs; the message says what it takes.
    """
    try:
        outputs: torch.Tensor = network(inputs)
    except _UNFIT as error:
        if _is_about_memory(error):
            raise
        what = f"the network cannot work on inputs of {shown(inputs)}{_wants(network, inputs)}"
        raise TaskFailedError(f"{what}: {error}", hint=_NETWORK) from error
    return outputs


def loss_of(loss: Callable[..., Any], outputs: torch.Tensor, targets: torch.Tensor) -> Any:
    """Return the loss of a batch's outputs.

    Raises:
        TaskFailedError: Outputs and targets do not fit the loss, or each other.
    """
    try:
        return loss(*matched(outputs, targets))
    except _UNFIT as error:
        if _is_about_memory(error):
            raise
        what = f"{type(loss).__name__} cannot compare outputs of {shown(outputs)}"
        message = f"{what} with targets of {shown(targets)}: {error}"
        raise TaskFailedError(message, hint=_LOSS) from error


def require_finite(loss: float, batches: Iterable[Any], steps: int) -> None:
    """Let nobody go on with a loss that is NaN or infinite, and say why it is so.

    Args:
        loss: Summed over a round.
        batches: What it was summed over; looked through only if it is not finite.
        steps: Steps that were made.

    Raises:
        TaskFailedError: It is not finite.
    """
    if torch.tensor(loss).isfinite():
        return
    message = f"the loss became {loss} within {steps} steps"
    for number, batch in enumerate(batches):
        pair = pair_of(batch, torch.device("cpu"))
        for what, values in zip(("inputs", "targets"), pair, strict=True):
            if not values.isfinite().all():
                message = f"{message}: {what} of batch {number} hold NaN or infinity"
                raise TaskFailedError(message, hint="clean the data, or let the data set do it")
    raise TaskFailedError(message, hint=_DIVERGED)


def shown(tensor: torch.Tensor) -> str:
    """Return type and shape: ``float32[30, 12]``."""
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _is_about_memory(error: Exception) -> bool:
    """Return True for a lack of memory, which torch tells of by the same type as of anything."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "allocate" in str(error)


def _wants(network: nn.Module, inputs: torch.Tensor) -> str:
    """Return what a network's first layer takes, if that is something else; or nothing."""
    for layer in network.modules():
        found = _TAKES.get(type(layer))
        if found is None:
            continue
        key, dimension = found
        wanted = getattr(layer, key)
        if inputs.ndim <= dimension or inputs.shape[dimension] == wanted:
            return ""
        return f" (its first layer has {key} {wanted}, and they have {inputs.shape[dimension]})"
    return ""
