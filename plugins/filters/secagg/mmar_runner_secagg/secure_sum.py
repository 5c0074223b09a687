# SPDX-License-Identifier: Apache-2.0
"""The aggregator: the mean of masked updates, of which it can read nothing but their sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmar_runner.errors import RefusedError, RunFailedError
from mmar_runner.interfaces.aggregator import AggregationContext, Contribution, TensorwiseAggregator
from mmar_runner.interfaces.exchange import ExchangeHandler
from mmar_runner_secagg.fixed_point import FixedPoint
from mmar_runner_secagg.masking import TOPIC
from mmar_runner_secagg.masks import Bits, Mask, add_masks
from mmar_runner_secagg.server_round import ServerRound, TooFewError
from mmar_runner_secagg.weighting import Weighting, weight_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt


class SecureSum(TensorwiseAggregator, ExchangeHandler):
    """Undoes the masks of a sum, and divides it.

    Args:
        clip_range: As of the filter at every client.
        bits: As of the filter.
        weighting: As of the filter.
        max_samples: As of the filter.
        answer_seconds: How long a phase waits for clients that are there; those that train may
            take as long as they need.
    """

    topic: ClassVar[str] = TOPIC
    before: ClassVar[tuple[str, ...]] = ("keys", "shares")
    at_close: ClassVar[str] = "survivors"
    after: ClassVar[tuple[str, ...]] = ("unmask",)

    def __init__(
        self,
        clip_range: float = 1.0,
        bits: Bits = 32,
        weighting: Weighting = "equal",
        max_samples: float = 100_000,
        answer_seconds: float = 60.0,
    ) -> None:
        self.min_updates = 2
        self.takes = f"I{bits}"
        self._clip = clip_range
        self._bits: Bits = bits
        self._weighting = weighting
        self._max_samples = max_samples
        self._answer_seconds = answer_seconds
        self._round = ServerRound(b"")
        self._masks: list[tuple[int, Mask]] = []
        self._numbers = FixedPoint(bits, clip_range, 1)
        self._place = ("", 0)

    # The exchange

    def open(self, context: AggregationContext) -> None:
        """Begin a round."""
        self._round = ServerRound(context.secret)

    def least(self, phase: str) -> int:
        """Return 2 for the first phase, then two thirds of those who began."""
        return 2 if phase == "keys" else self._round.quorum

    def seconds(self, phase: str) -> float | None:
        """Return how long a phase waits; the first comes after training, and waits for all."""
        return None if phase == "keys" else self._answer_seconds

    def check(self, phase: str, client: str, payload: bytes) -> None:
        """Look at a payload before it counts."""
        self._round.check(phase, client, payload)

    def answer(self, phase: str, payloads: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Pass on what clients said to each other; in the end, undo the masks.

        Raises:
            RefusedError: EXCHANGE_TOO_FEW, more than a third was lost.
        """
        try:
            match phase:
                case "keys":
                    return self._round.keys(payloads)
                case "shares":
                    return self._round.shares(payloads)
                case "survivors":
                    return self._round.surviving(payloads)
            self._round.unmask(payloads)
        except TooFewError as error:
            hint = "the round is done again, with new masks; look why the others did not answer"
            msg = f"secure aggregation: {error}"
            raise RefusedError(msg, reason="EXCHANGE_TOO_FEW", hint=hint) from error
        return dict.fromkeys(payloads, b"")

    # The aggregation

    def begin(self, context: AggregationContext) -> None:
        """Take the masks that are left in the sum.

        Raises:
            RunFailedError: EXCHANGE_LOST, they are not known.
        """
        if self._round.masks is None:
            msg = f"round {context.round} was not unmasked: nobody can use its updates"
            raise RunFailedError(msg, reason="EXCHANGE_LOST")
        self._masks = [(sign, Mask(seed, self._bits)) for sign, seed in self._round.masks]
        self._numbers = FixedPoint(self._bits, self._clip, self._round.clients)
        self._place = ("", 0)

    def weigh(self, contributions: Sequence[Contribution]) -> list[float]:
        """Return what clients have multiplied their updates with.

        Raises:
            RunFailedError: AGGREGATOR, the updates are not those that were unmasked.
        """
        names = [c.client for c in contributions]
        if names != self._round.survivors:
            msg = f"updates of {', '.join(names)}: unmasked is the sum of other ones"
            raise RunFailedError(msg, reason="AGGREGATOR")
        return [weight_of(c.num_samples, self._weighting, self._max_samples) for c in contributions]

    def combine(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the mean of one block of differences, ``[clients, block]`` to ``[block]``."""
        unsigned = tensors.view(f"<u{self._bits // 8}")
        total = np.zeros(unsigned.shape[1], unsigned.dtype)
        for row in unsigned:
            np.add(total, row, out=total)
        add_masks(total, name, self._start_of(name, total.size), self._masks)
        return self._numbers.decode(total) / math.fsum(weights)

    def facts(self) -> dict[str, Any]:
        """Return whose updates are in the sum, and how many clients were lost on the way."""
        return {
            "summed": len(self._round.survivors),
            "lost": self._round.clients - len(self._round.survivors),
            "step": self._numbers.step,
        }

    def _start_of(self, name: str, count: int) -> int:
        """Return where in its tensor a block begins: they come in order."""
        before, start = self._place
        start = start if name == before else 0
        self._place = (name, start + count)
        return start
