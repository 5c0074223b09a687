# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD at a client (Karimireddy et al. 2020, arXiv:1910.06378, algorithm 1, option II).

The control variate c comes with the global model, c_i lies in the site's state. Every local step
takes ``g - c_i + c`` for the gradient g. After the round c_i becomes a mean of the round's
gradients, ``c_i - c + (x - y) / S``, where S is how far a constant gradient of 1 would have moved
a parameter: K eta_l in the paper, which has neither momentum nor a schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.optim import SGD

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.companions import CONTROL_VARIATE, companion_of
from mmar_runner_torch.files import State, read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch.optim import Optimizer

#: In a task's state folder: c_i, by the parameters' names.
CONTROL_FILE: Final = "control_variates.safetensors"


def require_sgd(optimizer: Optimizer) -> None:
    """Let nobody train with control variates but by SGD.

    Raises:
        TaskFailedError: The optimizer divides gradients by their size, or the like: control
            variates could not be told from where the parameters went.
    """
    if not isinstance(optimizer, SGD):
        raise TaskFailedError(
            f"scaffold is defined for SGD, and the optimizer is {type(optimizer).__name__}",
            hint="config_train.json: name SGD as 'optimizer', or remove 'algorithm'",
        )


class ControlVariates:
    """The correction of one round, and the control variate that comes of it.

    Args:
        parameters: What is trained and shared, by name, holding the round's global model x.
        beside: What came beside the model, by the names in the file.
        state: Where c_i lies; zero if it is not there.

    Raises:
        TaskFailedError: The model came without control variates.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], beside: State, state: Path) -> None:
        missing = [name for name in parameters if _variate(name) not in beside]
        if missing:
            raise TaskFailedError(
                f"the global model came without control variates, such as that of {missing[0]!r}",
                hint="config_fed_server.json: scaffold at clients needs the aggregator Scaffold",
            )
        kept = state / CONTROL_FILE
        own = read_state(kept) if kept.exists() else {}
        self._parameters = parameters
        self._server = {name: beside[_variate(name)] for name in parameters}
        self._own = {n: own.get(n, torch.zeros_like(c)) for n, c in self._server.items()}
        self._start = {name: one.detach().clone() for name, one in parameters.items()}
        self._added = {
            name: (self._server[name] - self._own[name]).to(one.device)
            for name, one in parameters.items()
        }
        self._reach: dict[nn.Parameter, _Reach] = {}

    @torch.no_grad()
    def correct(self) -> None:
        """Add ``c - c_i`` to the gradients."""
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.add_(self._added[name])

    def stepped(self, optimizer: Optimizer) -> None:
        """Add up how far the step would have gone with a gradient of 1."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                self._reach.setdefault(parameter, _Reach()).step(group)

    @torch.no_grad()
    def finish(self, new_state: Path | None) -> State:
        """Return what is sent beside the update, by the names in the file: the new c_i - c_i.

        Args:
            new_state: Where the new c_i is kept, or None to keep it nowhere.
        """
        new: State = {}
        for name, parameter in self._parameters.items():
            moved = (self._start[name] - parameter).to("cpu")
            reach = self._reach.get(parameter, _Reach()).total
            old = self._own[name]
            new[name] = old - self._server[name] + moved / reach if reach else old
        if new_state is not None:
            write_state(new_state / CONTROL_FILE, new)
        return {_variate(name): new[name] - self._own[name] for name in new}


def _variate(name: str) -> str:
    return companion_of(CONTROL_VARIATE, name)


class _Reach:
    """How far SGD has gone with a gradient that was always 1."""

    def __init__(self) -> None:
        self.total = 0.0
        self._velocity: float | None = None

    def step(self, group: Mapping[str, Any]) -> None:
        momentum, direction = float(group["momentum"]), 1.0
        if momentum:
            # As torch does: the first velocity is the gradient, whatever the dampening.
            before, share = self._velocity, 1 - float(group["dampening"])
            self._velocity = 1.0 if before is None else momentum * before + share
            direction = 1 + momentum * self._velocity if group["nesterov"] else self._velocity
        sign = -1 if group["maximize"] else 1
        self.total += sign * float(group["lr"]) * direction
