# SPDX-License-Identifier: Apache-2.0
"""What a filter must be: it changes tensors on their way out of, or into, a site.

Filters run in declared order, in a child process, one tensor at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import UpdateKind


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What is passing through.

    Attributes:
        client_name: The site.
        round: The round.
        kind: Whether the tensors are weights or differences.
        seed: H(run seed, client, round).
    """

    client_name: str
    round: int
    kind: UpdateKind
    seed: int


class Filter(ABC):
    """Changes one tensor at a time; name, shape and dtype stay."""

    def begin(self, context: FilterContext) -> None:
        """See what is coming, before the first tensor."""

    @abstractmethod
    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the tensor that goes on, same shape and dtype."""
