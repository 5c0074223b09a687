# SPDX-License-Identifier: Apache-2.0
"""What a filter must be: it changes tensors on their way out of, or into, a site.

Filters run in declared order, in a child process, one tensor at a time. A filter that has to
know the whole update before it changes the first tensor (its norm, a percentile of it)
declares a pass of its own, `Filter.measure`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import UpdateKind


#: Takes a phase and a payload, and returns the payload that it is answered with.
Exchange: TypeAlias = Callable[[str, bytes], bytes]


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What is passing through.

    Attributes:
        client_name: The site.
        round: The round.
        kind: Whether the trainer's tensors are weights or differences.
        seed: H(run seed, client, round). The server knows it, and so do the other sites:
            noise that is drawn from it protects nothing.
        num_rounds: The round to stop at; negative if the run never stops.
        num_samples: How many samples the update was trained on; 0 on the way in.
        steps: How many optimizer steps it took, or None where nobody says.
        secret: 32 bytes, H(a key that never leaves the site, run, round, direction, filter):
            what noise must be drawn from. The same if the round is done again, and derived
            from the run's seed in a simulation, which deceives nobody. Empty where a test
            gives none.
        state: A folder with what this filter left for the last acknowledged round (empty in
            the first one); None only in a test that gives none.
        new_state: An empty folder for what must be kept; it becomes ``state`` only if this
            round's update is acknowledged.
        ledger: A folder for what counts even if an update is never acknowledged. That of an
            MMAR's filter belongs to the site and the run; that of a filter that the site's
            policy demands belongs to the client's workspace, whatever the run. Whoever writes
            there brings it to the disk before the first tensor goes on.
        exchange: Hands in this client's payload of a phase and returns the answer to it, once
            the others have handed in theirs: see `mmar_runner.interfaces.exchange`. It raises
            TaskFailedError if the server refuses. None on the way in, and where a test gives
            none.
    """

    client_name: str
    round: int
    kind: UpdateKind
    seed: int
    num_rounds: int = -1
    num_samples: float = 0.0
    steps: int | None = None
    secret: bytes = field(default=b"", repr=False)
    state: Path | None = None
    new_state: Path | None = None
    ledger: Path | None = None
    exchange: Exchange | None = field(default=None, repr=False, compare=False)


class Filter(ABC):
    """Changes one tensor at a time; name, shape and dtype stay.

    Attributes:
        on_differences: True if `measure` and `apply` are to see differences to the model as
            the site received it, whatever the trainer sent: float64 for tensors of floating
            numbers, int64 for whole numbers and booleans. The runner subtracts before and adds
            after, in the tensor's own dtype; a difference of 0 keeps the received model's
            value, to the bit.
        needs_measure: True if `measure` must see every tensor before the first `apply`. The
            file is then read once more, and lies on the disk once more while it is.
        topic: The protocol that it takes part in by `FilterContext.exchange`; empty for none.
        sends_as: ``I32`` or ``I64`` if `apply` returns whole numbers of that type, of every
            tensor and of the same shape; nothing is added to them afterwards, so that this is
            the last filter of all, and works on differences. None for every other filter.
    """

    on_differences: ClassVar[bool] = False
    needs_measure: ClassVar[bool] = False
    topic: ClassVar[str] = ""
    sends_as: str | None = None

    def begin(self, context: FilterContext) -> None:
        """See what is coming, before the first tensor; forget what came before."""

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """See one tensor in a pass before `apply` (only if `needs_measure`)."""

    def measures_again(self) -> bool:
        """Return True if `measure` must see all tensors once more; asked after each pass."""
        return False

    @abstractmethod
    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the tensor that goes on, same shape and dtype.

        Called once for each tensor, in the file's order, as is `measure`. What comes in may be
        shared and is left as it is.
        """

    def finish(self) -> Mapping[str, float]:
        """Return metrics that go with the update, by name; called after the last tensor.

        They stand beside the trainer's, and replace those of the same name.
        """
        return {}

    def settle(self, context: FilterContext) -> None:
        """Do what is left to do once the round's update was acknowledged (only with a `topic`).

        It may be another process than that which saw the update, and may be called again for a
        round that it has settled: what it needs lies in the ledger.
        """
