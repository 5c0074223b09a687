# SPDX-License-Identifier: Apache-2.0
"""Made-up data of the shapes that data sets state, for a round in which nothing is learnt.

A data set states what it yields (``yields``, a fact of its plugin): the shape of an input and the
number of classes. ``synthetic`` states the same where a length is an argument's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils.data import Dataset

from mmar_runner.errors import SyntheticDataError
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner.interfaces.client_trainer import TrainerContext

#: How many batches there are: the second one sees what the first has done.
BATCHES: Final = 2
_BATCH: Final = 16
_HINT: Final = (
    "its plugin states 'yields' or 'synthetic' (docs/reference/plugins.md); "
    "or try it on real data: mmar-runner simulate"
)


class SyntheticDataset(Dataset[tuple[torch.Tensor, int]]):
    """Inputs drawn from a normal distribution, and labels in turn.

    Args:
        shape: Of an input.
        classes: How many labels there are.
        length: How many items.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, length: int) -> None:
        self._shape = shape
        self._classes = classes
        self._length = length

    def __len__(self) -> int:
        """Return the number of items."""
        return self._length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return an input and its label; the same every time."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index)
        return torch.randn(self._shape, generator=generator), index % self._classes


@dataclass(frozen=True, slots=True)
class SyntheticBlueprint:
    """In place of a data set's blueprint: builds made-up data of its shapes.

    Attributes:
        declared: The data set that is declared; nothing of it is imported.
        length: How many items it has.
    """

    declared: Blueprint
    length: int

    @property
    def kind(self) -> ComponentKind:
        """That of the data set."""
        return self.declared.kind

    @property
    def name(self) -> str:
        """That of the data set."""
        return self.declared.name

    @property
    def args(self) -> Mapping[str, Any]:
        """Those of the data set."""
        return self.declared.args

    @property
    def facts(self) -> Mapping[str, Any]:
        """Those of the data set."""
        return self.declared.facts

    def build(self, *positional: Any, **extra: Any) -> SyntheticDataset:
        """Return made-up data.

        Raises:
            SyntheticDataError: Nobody knows its shape.
        """
        del positional, extra
        found = yields_of(self.declared)
        if found is None:
            msg = f"dataset {self.name!r}: the shape of what it yields is not known"
            raise SyntheticDataError(msg, hint=_HINT)
        return SyntheticDataset(*found, self.length)


def yields_of(data: Blueprint) -> tuple[tuple[int, ...], int] | None:
    """Return the shape of a data set's inputs and its number of classes; None if not known."""
    stated = data.facts.get("synthetic") or data.facts.get("yields")
    if not isinstance(stated, Mapping):
        return None
    shape = tuple(_length(one, data.args) for one in stated.get("shape", ()))
    classes = _length(stated.get("classes", 1), data.args)
    known = all(isinstance(one, int) and one > 0 for one in (*shape, classes))
    return (shape, classes) if shape and known else None


def _length(stated: Any, args: Mapping[str, Any]) -> Any:
    return args.get(stated) if isinstance(stated, str) else stated


def batch_of(context: TrainerContext) -> int:
    """Return how many samples a declared batch has."""
    args = context.train_config.get("train", {}).get("dataloader", {}).get("args", {})
    return int(args.get("batch_size") or _BATCH)


def with_synthetic_data(context: TrainerContext) -> TrainerContext:
    """Return the same context, but every declared data set is made up: two batches of it."""
    length = BATCHES * batch_of(context)

    def blueprint(kind: ComponentKind, declaration: Mapping[str, Any]) -> Blueprint:
        found = context.blueprint(kind, declaration)
        return SyntheticBlueprint(found, length) if kind is ComponentKind.DATASET else found

    return replace(context, blueprint=blueprint)
