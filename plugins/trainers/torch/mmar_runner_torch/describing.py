# SPDX-License-Identifier: Apache-2.0
"""Networks without numbers: built on torch's meta device, which keeps shapes and no memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch

from mmar_runner.errors import ComponentBuildError, ComponentFailedError, MmarRunnerError
from mmar_runner.hooks.raised import told
from mmar_runner.interfaces.network_facts import TensorFacts
from mmar_runner_torch.files import dtype_name

if TYPE_CHECKING:
    from torch import nn

    from mmar_runner_torch.files import State

_LOG: Final = logging.getLogger(__name__)
_META: Final = torch.device("meta")
#: What is said of a network whose constructor looks at numbers.
BUILT_FOR_REAL: Final = "it cannot be built on torch's meta device, and was built in memory"


def built_on_meta(build: Callable[[], nn.Module | None]) -> tuple[nn.Module | None, str]:
    """Return a network on the meta device, and a note, or nothing, on how that was done.

    One that reads numbers while it is built cannot be built there: it is built in memory, and
    moved. What fails in both ways fails.

    Args:
        build: Builds it, or returns None.

    Raises:
        Exception: Whatever that raises when it builds in memory.
    """
    try:
        with _translated(ComponentBuildError, "the network cannot be built without memory"), _META:
            network = build()
    except ComponentBuildError as error:
        _LOG.info("built in memory, since %s", error.message)
        network = build()  # what is wrong with it in any case, this says better
        return (network if network is None else network.to(_META)), BUILT_FOR_REAL
    # What is made without a device, such as a buffer of numpy's, lies in memory.
    return (network if network is None else network.to(_META)), ""


@contextmanager
def _translated(kind: type[MmarRunnerError], what: str) -> Iterator[None]:
    """Have what a network raises be an error of the one tree.

    Raises:
        MmarRunnerError: Of the kind; or one that was raised itself, such as a refusal.
    """
    try:
        yield
    except MmarRunnerError:
        raise
    except Exception as error:
        raise kind(f"{what}: {told(error)}") from error


def tensor_facts(state: Mapping[str, torch.Tensor]) -> dict[str, TensorFacts]:
    """Return names, types and shapes of tensors, in their order.

    Raises:
        FormatError: One has a type that no file can hold.
    """
    return {n: TensorFacts(dtype_name(n, t), tuple(t.shape)) for n, t in state.items()}


def bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    """Return what tensors take, each counted once."""
    return sum(one.numel() * one.element_size() for one in {id(t): t for t in tensors}.values())


def weights_bytes(network: nn.Module) -> int:
    """Return what parameters and buffers of a network take."""
    return bytes_of([*network.parameters(), *network.buffers()])


def gradient_bytes(network: nn.Module) -> int:
    """Return what the gradients of a network take."""
    return bytes_of(p for p in network.parameters() if p.requires_grad)


def optimizer_bytes(optimizer: torch.optim.Optimizer) -> int | None:
    """Return what an optimizer keeps beside weights and gradients; None if it does not say.

    One step is made, of tensors without numbers: what it keeps then, it always keeps.

    Args:
        optimizer: Of parameters on the meta device.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    try:
        optimizer.step()
    except (RuntimeError, TypeError, NotImplementedError):
        return None
    return bytes_of(t for state in optimizer.state.values() for t in _tensors(state))


def _tensors(kept: Any) -> Iterable[torch.Tensor]:
    for value in kept.values() if isinstance(kept, Mapping) else ():
        if torch.is_tensor(value):
            yield value


def activation_bytes(network: nn.Module, shape: tuple[int, ...]) -> int | None:
    """Return what a network keeps of one batch until its gradients are there; None if unknown.

    Weights that are kept for the gradients are not counted again.

    Args:
        network: On the meta device.
        shape: Of a batch of inputs.
    """
    own = {id(t) for t in [*network.parameters(), *network.buffers()]}
    kept: State = {}

    def seen(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in own:
            kept[str(id(tensor))] = tensor
        return tensor

    network.train()
    try:
        with (
            _translated(ComponentFailedError, "activations cannot be counted"),
            torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor),
        ):
            network(torch.empty(shape, device=_META))
    except ComponentFailedError as error:
        # It does not take such inputs, or knows no meta device: a round says which.
        _LOG.info("%s", error.message)
        return None
    return bytes_of(kept.values())
