# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a network a site has for itself, and where they are kept.

Two kinds are: those that the global model does not hold, and those that ``exclude_vars`` names.
With the tensors of normalisation layers excluded this is FedBN (Li et al. 2021,
arXiv:2102.07623).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_torch.files import State, read_state, write_state
from mmar_runner_torch.network import difference, load_shared, personal_state, shared_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

#: In a task's state folder: the tensors that a site has for itself.
PERSONAL_FILE: Final = "personal.safetensors"
#: What older archives write where nothing is excluded.
_NOTHING: Final = ("", "dummy")


class SiteTensors:
    """Loads what comes from the federation beside what the site keeps, and parts them again.

    Args:
        exclude_vars: Regular expression; tensors in whose name it is found belong to the site.
            None, ``""`` and ``"dummy"`` exclude nothing.
    """

    def __init__(self, exclude_vars: str | None = None) -> None:
        nothing = exclude_vars is None or exclude_vars in _NOTHING
        self._excluded = None if nothing else re.compile(str(exclude_vars))
        self._first: State | None = None
        self._has_own = False

    def excludes(self, name: str) -> bool:
        """Return whether a tensor is the site's although the global model holds it."""
        return self._excluded is not None and self._excluded.search(name) is not None

    def load(self, network: nn.Module, received: Mapping[str, torch.Tensor], state: Path) -> None:
        """Fill a network for a round: with the global model, and with what the site kept.

        A site that has kept nothing yet begins with the global model's values, and with the
        network's own where that has none.

        Raises:
            SchemaMismatchError: The network lacks a tensor, or has it in another shape or type.
        """
        if self._first is None:
            self._first = personal_state(network, received)
        load_shared(network, received)
        kept = state / PERSONAL_FILE
        load_shared(network, read_state(kept) if kept.exists() else self._first)
        self._has_own = True

    def load_to_measure(self, network: nn.Module, model: Mapping[str, torch.Tensor]) -> None:
        """Fill a network with a model that is only to be measured.

        Excluded tensors stay what they are at the site once it has trained: the others belong to
        them, and nobody trained those of the global model.

        Raises:
            SchemaMismatchError: As `load`.
        """
        taken = {n: t for n, t in model.items() if not (self._has_own and self.excludes(n))}
        load_shared(network, taken)

    def save(
        self, network: nn.Module, received: Mapping[str, torch.Tensor], new_state: Path
    ) -> None:
        """Keep what is the site's; no file is written if nothing is."""
        personal = personal_state(network, self.federated(received))
        if personal:
            write_state(new_state / PERSONAL_FILE, personal)

    def update(
        self, network: nn.Module, received: Mapping[str, torch.Tensor], kind: UpdateKind
    ) -> State:
        """Return what leaves the site: excluded tensors as they were received.

        Args:
            network: After training.
            received: The global model.
            kind: Whether weights leave, or differences, which are then zero.
        """
        trained = shared_state(network, self.federated(received))
        after = {name: trained.get(name, tensor) for name, tensor in received.items()}
        return difference(after, received) if kind is UpdateKind.WEIGHT_DIFF else after

    def federated(self, received: Mapping[str, torch.Tensor]) -> State:
        """Return the tensors of a global model that this site takes and sends."""
        return {name: tensor for name, tensor in received.items() if not self.excludes(name)}
