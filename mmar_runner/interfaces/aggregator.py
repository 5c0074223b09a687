# SPDX-License-Identifier: Apache-2.0
"""What an aggregator must be.

The server never holds a model in memory: it walks over the accepted update files,
one block of one tensor at a time, in the order of client names. An aggregator sees
only such blocks, so it is as small as its idea::

    class CoordinateMedian(TensorwiseAggregator):
        def combine(self, name, tensors, weights):
            return np.median(tensors.astype(np.float64), axis=0)

What the server does around it: it checks every update, calls `begin` and `weigh`, runs the
`measure` pass if the class declares one, calls `combine` for every block, adds the result
to the base model where the rule saw differences, rounds integer tensors to even, turns
boolean tensors into a majority, and puts `facts` on record with the round.

A round may be walked more than once: after a full disk, without an update that overflows,
by the server that resumes the run. Every walk starts with `begin`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class UpdateKind(StrEnum):
    """What the tensors of an update are."""

    WEIGHTS = "weights"
    WEIGHT_DIFF = "weight_diff"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One accepted update, without its tensors.

    Attributes:
        client: The client's name.
        num_samples: How many samples it trained on this round (positive, finite).
        kind: Full weights or a difference to the round's model.
        metrics: What the client reported, by name.
        staleness: How many versions older than the round's model the one was that it was made
            from. It is 0 unless clients do not wait for each other; there the server has made
            it a difference to its own base, scaled by 1 / sqrt(1 + staleness).
    """

    client: str
    num_samples: float
    kind: UpdateKind = UpdateKind.WEIGHTS
    metrics: Mapping[str, float] = field(default_factory=dict)
    staleness: int = 0


@dataclass(frozen=True, slots=True)
class AggregationContext:
    """The round that is aggregated.

    Attributes:
        round: Its number.
        num_rounds: The round at which the run stops; negative if it never does.
        start_round: The number of the run's first round.
        participants: How many clients the round invited.
        population: How many clients the run could have invited: the sites that may take part
            or, where nobody lists them, the clients that have come so far.
        secret: 32 bytes that only this server knows, of this run and round. They are the same
            when a server that was killed does the round again.
        integers: The names of the model's tensors that hold integers or booleans: a rule that
            sees differences sees float64 of them too.
        minimum: The MMAR's ``min_num_clients``, which nothing changes during a run.
    """

    round: int
    num_rounds: int
    start_round: int
    participants: int
    population: int
    secret: bytes = field(repr=False)
    integers: frozenset[str] = frozenset()
    minimum: int = 1


class TensorwiseAggregator(ABC):
    """Base class of every aggregator.

    Attributes:
        on_differences: True if the rule sees float64 differences to the round's model, whatever
            clients sent. Its result is then added to that model.
        needs_measure: True if `measure` must see every block before `combine` does.
        foldable: True if `fold` and `finish` are implemented, so that any number of
            updates is combined with memory for one. The result must equal
            `combine`'s, bit for bit.
        composes: True if combiners may add updates up for the rule: it is foldable, `fold` adds
            weight times the block to the accumulator and does nothing else, and `weigh` weighs
            each contribution by itself, whatever others there are. `finish` then sees sums of
            sums, and the weights of all sites. A rule that looks at updates one by one, or at
            their norms, does not compose. A subclass that changes one of them says so.
        min_updates: The smallest number of updates the rule is defined for; no run begins that
            has a smaller ``min_num_clients``. It may depend on the rule's arguments.
        takes: ``I32`` or ``I64`` if updates are differences that a filter of each client has
            made whole numbers of (see `mmar_runner.interfaces.filter.Filter.sends_as`): then
            `combine` sees these, and returns differences in float64. None for every other rule.
    """

    on_differences: ClassVar[bool] = False
    needs_measure: ClassVar[bool] = False
    foldable: ClassVar[bool] = False
    composes: ClassVar[bool] = False
    min_updates: int = 1
    takes: str | None = None

    def foresee(self, start_round: int, num_rounds: int) -> None:
        """Raise if the run that is planned cannot be done; called before there is one.

        Args:
            start_round: The run's first round.
            num_rounds: The round at which it stops; negative if it never does.

        Raises:
            RunFailedError: Why it cannot.
        """

    def begin(self, context: AggregationContext) -> None:
        """Forget whatever was kept of another walk; called before `weigh`.

        Args:
            context: The round that is aggregated.
        """

    def weigh(self, contributions: Sequence[Contribution]) -> Sequence[float]:
        """Return one weight per contribution, in the given (client-name) order.

        Called once a walk, before any block. The default is the number of samples.
        """
        return [float(c.num_samples) for c in contributions]

    def excludes(self, name: str) -> bool:
        """Return True if tensor ``name`` keeps the global model's value."""
        return False

    def measure(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> None:
        """See one block in the first pass (only if `needs_measure`).

        Args:
            name: The tensor's name.
            tensors: Shape ``[clients, block]``, in the tensor's own dtype.
            weights: Shape ``[clients]``, as `weigh` returned them.
        """

    @abstractmethod
    def combine(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[Any]:
        """Combine one block of all updates.

        Args:
            name: The tensor's name.
            tensors: Shape ``[clients, block]``, in the tensor's own dtype; read-only.
            weights: Shape ``[clients]``, as `weigh` returned them.

        Returns:
            Shape ``[block]``, normally float64; the server rounds and casts. The
            value of an element must not depend on where the block begins or ends.
        """

    def fold(
        self,
        accumulator: npt.NDArray[np.float64],
        name: str,
        tensor: npt.NDArray[Any],
        weight: float,
    ) -> None:
        """Add one client's block, shape ``[block]``, to the accumulator in place."""
        raise NotImplementedError

    def finish(
        self, accumulator: npt.NDArray[np.float64], name: str, weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[Any]:
        """Turn the accumulator into the combined block, shape ``[block]``."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """Return what is to be known of this aggregation; called after the last block.

        It is put on record with the round, so that a run that is taken up again has it, and
        stands in ``summary.json`` as the round's ``aggregation``.

        Returns:
            What JSON can hold, by name: which updates were chosen, factors, privacy spent.
        """
        return {}

    def resume(self, facts: Mapping[str, Any]) -> None:
        """Take up a run that another process left.

        Called once, before any round, if there is something on record.

        Args:
            facts: The newest that `facts` returned in this run.
        """
