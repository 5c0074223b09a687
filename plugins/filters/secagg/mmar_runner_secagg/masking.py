# SPDX-License-Identifier: Apache-2.0
"""The filter: agrees on masks with the other sites, and lets nothing leave but masked numbers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmar_runner.errors import MmarRunnerError, TaskFailedError
from mmar_runner.interfaces.filter import Filter, FilterContext
from mmar_runner_secagg.client_round import LEAST_CLIENTS, ClientRound
from mmar_runner_secagg.fixed_point import FixedPoint
from mmar_runner_secagg.masks import STRIDE, Bits, Mask, add_masks
from mmar_runner_secagg.reveal import Keeping, reveal
from mmar_runner_secagg.weighting import Weighting, terms_of, weight_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

#: Names the protocol to the server.
TOPIC = "secagg"


class SecAggFilter(Filter):
    """Masks an update so that only the sum of all updates can be read.

    Args:
        clip_range: A difference beyond it is clipped; above 0. The same as the aggregator's.
        bits: Of the whole numbers that are sent, 32 or 64. The same as the aggregator's.
        weighting: ``equal``, or ``samples``: the update weighs its samples. The same as the
            aggregator's.
        max_samples: Samples that weigh 1, with ``samples``; who has more weighs as much.
        least_clients: Of how many updates a sum must be, or this site takes no part.
    """

    on_differences: ClassVar[bool] = True
    topic: ClassVar[str] = TOPIC

    def __init__(
        self,
        clip_range: float = 1.0,
        bits: Bits = 32,
        weighting: Weighting = "equal",
        max_samples: float = 100_000,
        least_clients: int = 3,
    ) -> None:
        self.sends_as = f"I{bits}"
        self._clip = float(clip_range)
        self._bits: Bits = bits
        self._weighting = weighting
        self._max_samples = max_samples
        self._least = max(least_clients, LEAST_CLIENTS)
        self._masks: list[tuple[int, Mask]] = []
        self._numbers = FixedPoint(bits, clip_range, 1)
        self._weight = 1.0
        self._clipped, self._seen = 0, 0

    def begin(self, context: FilterContext) -> None:
        """Agree on new masks: keys, then shares of what others may need to undo them."""
        ledger, exchange = context.ledger, context.exchange
        if exchange is None or ledger is None:
            msg = "SecAggFilter masks updates on their way to a server, and nothing else"
            raise TaskFailedError(msg, hint="declare it among the outbound filters")
        self._masks, self._clipped, self._seen = [], 0, 0
        self._forget(ledger)
        terms = terms_of(self._bits, self._clip, self._weighting, self._max_samples)
        mine = ClientRound(context.client_name, self._least, terms)
        with _refusals():
            letters = mine.share(exchange("keys", mine.advertise()))
            mine.receive(exchange("shares", letters))
            seeds = mine.mask_seeds()
        held, own_share, threshold = mine.kept()
        # On the disk before the first masked number exists: whoever masks can also unmask.
        Keeping(held, own_share, threshold, self._least, {}).keep(_path(ledger, context.round))
        self._masks = [(sign, Mask(seed, self._bits)) for sign, seed in seeds]
        self._numbers = FixedPoint(self._bits, self._clip, mine.clients)
        self._weight = weight_of(context.num_samples, self._weighting, self._max_samples)

    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the masked numbers of a tensor, a few of them at a time in memory.

        What are no floating numbers are sent as zeros: they keep the global model's values.

        Raises:
            TaskFailedError: NON_FINITE, a value is NaN or infinite: under a mask nobody could see.
        """
        flat = tensor.reshape(-1)
        floating = tensor.dtype.kind not in "iub"
        sent = np.zeros(flat.size, f"<u{self._bits // 8}")
        for start in range(0, flat.size, STRIDE):
            part = sent[start : start + STRIDE]
            if floating:
                values = flat[start : start + STRIDE].astype(np.float64)
                if not np.isfinite(values).all():
                    raise _not_finite(name)
                self._clipped += int(np.count_nonzero(np.abs(values) > self._clip))
                self._seen += values.size
                part[...] = self._numbers.encode(values, self._weight)
            add_masks(part, name, start, self._masks)
        return sent.view(f"<i{self._bits // 8}").reshape(tensor.shape)

    def finish(self) -> dict[str, float]:
        """Forget the masks: they are for one update. Say how much was clipped."""
        self._masks = []
        return {"secagg_clipped": self._clipped / self._seen if self._seen else 0.0}

    def settle(self, context: FilterContext) -> None:
        """Give away what undoes the masks of the sum, once the updates are counted."""
        exchange, ledger = context.exchange, context.ledger
        if exchange is None or ledger is None:
            return
        path = _path(ledger, context.round)
        with _refusals():
            exchange("unmask", reveal(context.client_name, exchange("survivors", b""), path))

    def _forget(self, ledger: Path) -> None:
        """Remove what was kept for rounds that are over, and for an earlier try of this one."""
        for path in ledger.glob("round_*.json"):
            with contextlib.suppress(OSError):
                path.unlink()


def _path(ledger: Path, number: int) -> Path:
    return ledger / f"round_{number:04d}.json"


def _not_finite(name: str) -> TaskFailedError:
    msg = f"the update's tensor {name!r} has a value that is NaN or infinite"
    hint = "look for NaN in the data, or lower the learning rate"
    return TaskFailedError(msg, hint=hint, reason="NON_FINITE")


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Let what the protocol refuses fail the task, with a reason of its own."""
    try:
        yield
    except MmarRunnerError:
        raise
    except ValueError as error:
        msg = f"secure aggregation is refused at this site: {error}"
        raise TaskFailedError(msg, reason="SECAGG_REFUSED") from error
