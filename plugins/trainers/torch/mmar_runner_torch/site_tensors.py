# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a network a site has for itself, and where they are kept.

Two kinds are: those that the global model does not hold, and those that ``exclude_vars`` names.
With the tensors of normalisation layers excluded this is FedBN (Li et al. 2021,
arXiv:2102.07623).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import SchemaMismatchError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_torch.files import State, read_state, write_state
from mmar_runner_torch.network import difference, load_shared, personal_state, shared_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

_log = logging.getLogger(__name__)

#: In a task's state folder: the tensors that a site has for itself.
PERSONAL_FILE: Final = "personal.safetensors"
#: What older archives write where nothing is excluded.
_NOTHING: Final = ("", "dummy")
#: So many names of tensors are said of those that a network lacks.
_SHOWN: Final = 3


class SiteTensors:
    """Loads what comes from the federation beside what the site keeps, and parts them again.

    Args:
        exclude_vars: Regular expression; tensors in whose name it is found belong to the site.
            None, ``""`` and ``"dummy"`` exclude nothing.
        by_name: Whether the global model may hold tensors that the network lacks. They are left
            alone then, which is said once, and go back as they came; without it they are an error.
    """

    def __init__(self, exclude_vars: str | None = None, *, by_name: bool = False) -> None:
        nothing = exclude_vars is None or exclude_vars in _NOTHING
        self._excluded = None if nothing else re.compile(str(exclude_vars))
        self._by_name = by_name
        self._lacking: frozenset[str] = frozenset()
        self._first: State | None = None
        self._has_own = False

    @property
    def by_name(self) -> bool:
        """Whether the global model may hold tensors that the network lacks."""
        return self._by_name

    def excludes(self, name: str) -> bool:
        """Return whether a tensor of the global model is neither taken nor sent."""
        if name in self._lacking:
            return True
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
        load_shared(network, self._known(network, received))
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
        known = self._known(network, model)
        taken = {n: t for n, t in known.items() if not (self._has_own and self.excludes(n))}
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

    def _known(self, network: nn.Module, model: Mapping[str, torch.Tensor]) -> State:
        """Return the tensors of a model that a network may be expected to have.

        Raises:
            SchemaMismatchError: It has none of them.
        """
        if not self._by_name:
            return dict(model)
        own = network.state_dict()
        lacking = frozenset(name for name in model if name not in own)
        if lacking == model.keys():
            raise SchemaMismatchError(
                "the declared network has no tensor of the global model",
                hint="declare the same model in config_fed_server.json and config_train.json",
            )
        if lacking != self._lacking:
            self._lacking = lacking
            _say_lacking(sorted(lacking), len(model))
        return {name: tensor for name, tensor in model.items() if name not in lacking}

    def federated(self, received: Mapping[str, torch.Tensor]) -> State:
        """Return the tensors of a global model that this site takes and sends."""
        return {name: tensor for name, tensor in received.items() if not self.excludes(name)}


def _say_lacking(names: list[str], total: int) -> None:
    if not names:
        return
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    _log.warning(
        "the declared network lacks %d of the %d tensors of the global model (%s%s): they are not "
        "trained here and go back as they came. Declare the same model in config_fed_server.json "
        "and config_train.json; until then the last model fits the network of config_train.json",
        len(names),
        total,
        ", ".join(names[:_SHOWN]),
        more,
    )
