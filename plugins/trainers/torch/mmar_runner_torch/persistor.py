# SPDX-License-Identifier: Apache-2.0
"""Makes the first model, reads checkpoints of PyTorch, and exports the last model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mmar_runner.errors import FormatError
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.network_facts import NetworkFacts
from mmar_runner_torch.companions import parted
from mmar_runner_torch.describing import built_on_meta, tensor_facts
from mmar_runner_torch.determinism import seed_everything
from mmar_runner_torch.files import State, read_state, write_state
from mmar_runner_torch.network import check_tensor

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.catalog import Blueprint

#: Keys under which training programs keep a network's weights in a checkpoint.
NESTED_KEYS = ("model", "state_dict", "model_state_dict", "net")


class PTFileModelPersistor(ModelPersistor):
    """Keeps models of a declared network.

    Args:
        model: The network.
        exclude_vars: Regular expression; tensors whose name it finds are not shared.
    """

    def __init__(self, model: Blueprint, exclude_vars: str | None = None) -> None:
        self._model = model
        self._excluded = re.compile(exclude_vars) if exclude_vars else None

    def initial_model(self, destination: Path, *, seed: int) -> None:
        """Write a new network's tensors; the same seed gives the same bytes."""
        write_state(destination, self._initial(seed))

    def describe(self) -> NetworkFacts | None:
        """Return what the declared network's tensors are; it is built without their numbers."""
        network, note = built_on_meta(self._model.build)
        if network is None:
            return None
        state = {n: t for n, t in network.state_dict().items() if self._shares(n)}
        return NetworkFacts(tensor_facts(state), note=note)

    def convert(self, checkpoint: Path, destination: Path) -> None:
        """Write the tensors of a checkpoint that `torch.save` made.

        Only tensors are read, never objects. The weights may stand at the top or under
        one of the usual keys; every tensor of the declared network must be there.

        Raises:
            FormatError: It is no such file, holds no weights, or lacks a tensor.
            SchemaMismatchError: A tensor has another shape or type than declared.
        """
        weights = weights_of(checkpoint)
        own = self._initial(0)
        missing = [name for name in own if name not in weights]
        if missing:
            raise FormatError(f"{checkpoint.name} lacks tensor {missing[0]!r} of the network")
        for name in own:
            check_tensor(name, weights[name], own)
        write_state(destination, {name: weights[name] for name in own})

    def export(self, model: Path, folder: Path) -> Path:
        """Write ``final_model.pt``, a state_dict for ``torch.load(weights_only=True)``.

        Control variates that lie beside the model are left out.
        """
        file = folder / "final_model.pt"
        torch.save(parted(read_state(model))[0], file)
        return file

    def _initial(self, seed: int) -> State:
        seed_everything(seed)
        state: State = self._model.build().state_dict()
        return {name: tensor for name, tensor in state.items() if self._shares(name)}

    def _shares(self, name: str) -> bool:
        return self._excluded is None or not self._excluded.search(name)


def weights_of(checkpoint: Path) -> Mapping[str, torch.Tensor]:
    """Return the weights in a checkpoint, on the CPU.

    Raises:
        FormatError: It is no file of `torch.save`, holds more than tensors, or no weights.
    """
    try:
        content: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise FormatError(f"{checkpoint.name} is not a PyTorch checkpoint: {error}") from error
    except Exception as error:
        # weights_only refuses everything but tensors with an error of the pickle module.
        message = f"{checkpoint.name} holds more than tensors and was not loaded: {error}"
        hint = "save the state_dict alone: torch.save(network.state_dict(), FILE)"
        raise FormatError(message, hint=hint) from error
    for key in NESTED_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise FormatError(f"{checkpoint.name} holds no weights")
    return {str(n).removeprefix("module."): t for n, t in content.items() if torch.is_tensor(t)}
