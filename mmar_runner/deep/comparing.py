# SPDX-License-Identifier: Apache-2.0
"""In what a model and a network differ, sorted by what that means; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted, some_of
from mmar_runner.interfaces.companions import is_companion

if TYPE_CHECKING:
    from mmar_runner.interfaces.network_facts import TensorFacts

    Tensors = Mapping[str, TensorFacts]

#: Names that a sentence repeats, and letters of each.
_NAMED: Final = 3
_LETTERS: Final = 100


class Sort(StrEnum):
    """One way to differ."""

    MISSING = "missing"
    SHAPE = "shape"
    DTYPE = "dtype"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """Tensors that differ in one way.

    Attributes:
        sort: In which.
        names: Theirs, in the model's order.
        first: Of the first one, what the model and the network have; None what is not there.
    """

    sort: Sort
    names: tuple[str, ...]
    first: tuple[TensorFacts | None, TensorFacts | None]

    def sentence(self, model: str, network: str) -> str:
        """Return what differs.

        Args:
            model: What the model is called, such as ``the server's model``.
            network: What the network is.
        """
        many, named = counted(len(self.names), "tensor"), self._named()
        if self.sort is Sort.MISSING:
            return f"{model} has {many} that {network} lacks: {named}."
        if self.sort is Sort.EXTRA:
            return f"{network} has {many} that {model} lacks: {named}."
        what = "shape" if self.sort is Sort.SHAPE else "element type"
        have = "has another" if len(self.names) == 1 else "have another"
        theirs, ours = self.first
        first = f"{self.names[0][:_LETTERS]} is {theirs} in {model} and {ours} in {network}"
        others = f" ({named})" if len(self.names) > 1 else ""
        return f"{many} {have} {what}{others}: {first}."

    def _named(self) -> str:
        return some_of([name[:_LETTERS] for name in self.names], _NAMED)


def differences(model: Tensors, network: Tensors) -> list[Difference]:
    """Return in what a network differs from a model that it is to be filled with.

    Companions are no tensors of a network.

    Args:
        model: What is sent.
        network: What is to hold it.
    """
    wanted = {name: one for name, one in model.items() if not is_companion(name)}
    both = [name for name in wanted if name in network]
    sorted_out = {
        Sort.MISSING: [name for name in wanted if name not in network],
        Sort.SHAPE: [name for name in both if wanted[name].shape != network[name].shape],
        Sort.DTYPE: [name for name in both if wanted[name].dtype != network[name].dtype],
        Sort.EXTRA: [name for name in network if name not in wanted],
    }
    return [
        Difference(sort, tuple(names), (wanted.get(names[0]), network.get(names[0])))
        for sort, names in sorted_out.items()
        if names
    ]
