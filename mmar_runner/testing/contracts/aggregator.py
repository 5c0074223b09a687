# SPDX-License-Identifier: Apache-2.0
"""What every aggregator must do."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.testing.contracts.combining import (
    DTYPES,
    Updates,
    combined,
    context,
    drawn,
    folded,
    frozen,
    stored,
    weights_of,
)
from mmar_runner.testing.contracts.laws import hold, near, same, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator

_ELEMENTS = 5000
_every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


class AggregatorContract(ABC):
    """The laws of aggregation, for any rule.

    Attributes:
        clients: How many updates are combined; at least the rule's ``min_updates``.
        is_weighted_mean: True if the rule is a mean weighted by what `weigh` answers;
            it is then compared with one worked out in exact arithmetic.
        keeps_unanimity: False if the rule changes even what every client sends alike, as one
            that clips or adds noise does.
        kind: What clients say that their updates hold.
    """

    clients: ClassVar[int] = 9
    is_weighted_mean: ClassVar[bool] = False
    keeps_unanimity: ClassVar[bool] = True
    kind: ClassVar[UpdateKind] = UpdateKind.WEIGHTS

    @abstractmethod
    def make(self) -> TensorwiseAggregator:
        """Return a new aggregator."""

    @_every_dtype
    def test_takes_every_dtype(self, dtype: npt.DTypeLike) -> None:
        """A block of any element type gives one finite number per element."""
        result = combined(self.make(), self._drawn(dtype))
        law = f"A block of {np.dtype(dtype).name} gives one finite number per element"
        shape = result.shape == (_ELEMENTS,)
        hold(law, shape, expected=f"the shape ({_ELEMENTS},)", got=result)
        hold(law, result.dtype.kind in "fiub", expected="numbers", got=result)
        hold(law, np.isfinite(result).all(), expected="no NaN and no infinity", got=result)

    @_every_dtype
    @pytest.mark.parametrize("block", [1, 7, 4096])
    def test_block_size_does_not_matter(self, dtype: npt.DTypeLike, block: int) -> None:
        """Bit for bit: an element's value does not depend on where a block begins."""
        updates = self._drawn(dtype)
        whole = combined(self.make(), updates)
        law = f"Blocks of {block} give, bit for bit, what the whole tensor gives"
        same(law, whole, combined(self.make(), updates, block=block))

    @_every_dtype
    @pytest.mark.parametrize("block", [7, _ELEMENTS])
    def test_folding_equals_combining(self, dtype: npt.DTypeLike, block: int) -> None:
        """Bit for bit, if the rule says that it is foldable."""
        if not self.make().foldable:
            pytest.skip("the rule does not fold")
        updates = self._drawn(dtype)
        whole = combined(self.make(), updates)
        law = "A rule that says it is foldable folds, bit for bit, to what it combines"
        same(law, whole, folded(self.make(), updates, block=block))

    @_every_dtype
    def test_sums_of_sums_are_sums(self, dtype: npt.DTypeLike) -> None:
        """Combiners add up for a rule that composes: each update by itself, in any grouping."""
        rule = self.make()
        if not rule.composes:
            pytest.skip("the rule does not compose")
        updates = self._drawn(dtype)
        rule.begin(context(participants=len(updates.contributions)))
        weights = [float(weight) for weight in rule.weigh(updates.contributions)]
        law = "A rule that composes weighs each contribution by itself"
        for index in range(self.clients if self.clients > 1 else 0):
            without = [*updates.contributions[:index], *updates.contributions[index + 1 :]]
            rest = [float(weight) for weight in rule.weigh(without)]
            expected = [*weights[:index], *weights[index + 1 :]]
            hold(law, rest == expected, expected=f"{expected} without one of them", got=rest)
        law = "A rule that composes adds weight times block, and nothing else"
        for row, weight in zip(updates.tensors, weights, strict=True):
            added = np.ones(_ELEMENTS, dtype=np.float64)
            rule.fold(added, "weight", row, weight)
            same(law, np.ones(_ELEMENTS) + row.astype(np.float64) * weight, added)

    @_every_dtype
    def test_inputs_are_left_alone(self, dtype: npt.DTypeLike) -> None:
        """The blocks belong to the server; they arrive read-only and stay as they are."""
        updates = self._drawn(dtype)
        before = updates.tensors.copy()
        combined(self.make(), updates)
        same(
            "The blocks that come in are the server's and stay as they are", before, updates.tensors
        )

    def test_order_of_clients_does_not_matter(self) -> None:
        """Clients in another order, each with its weight, give the same result."""
        updates = self._drawn(np.float32)
        expected = combined(self.make(), updates)
        for shift in range(1, self.clients):
            order = [*range(shift, self.clients), *range(shift)][::-1]
            result = combined(self.make(), updates.reordered(order))
            law = "The order of the clients does not matter"
            near(law, expected, result, rtol=1e-9, atol=1e-12)

    def test_scale_of_weights_does_not_matter(self) -> None:
        """Three times the samples everywhere change nothing."""
        updates = self._drawn(np.float32)
        scaled = [replace(c, num_samples=3 * c.num_samples) for c in updates.contributions]
        expected = combined(self.make(), updates)
        result = combined(self.make(), Updates(scaled, updates.tensors))
        law = "Three times the samples at every client change nothing"
        near(law, expected, result, rtol=1e-9, atol=1e-12)

    @_every_dtype
    def test_unanimity(self, dtype: npt.DTypeLike) -> None:
        """If every client sends the same tensor, the result is that tensor."""
        if not self.keeps_unanimity:
            pytest.skip("the rule changes what every client sends alike")
        updates = self._drawn(dtype)
        alike = frozen(np.repeat(updates.tensors[:1], self.clients, axis=0))
        result = combined(self.make(), Updates(updates.contributions, alike))
        # Bit for bit, except that float64 has no room to hide a rounding.
        tolerance = 1e-14 if np.dtype(dtype) == np.float64 else 0.0
        actual = stored(result, dtype).astype(np.float64)
        law = "If every client sends the same tensor, the result is that tensor"
        near(law, alike[0].astype(np.float64), actual, rtol=tolerance)

    def test_same_input_same_bits(self) -> None:
        """Nothing random, and nothing kept from an earlier walk: `begin` forgets it."""
        updates, other = self._drawn(np.float32), self._drawn(np.float32, seed=1)
        expected = combined(self.make(), updates)
        aggregator = self.make()
        combined(aggregator, other)
        law = "The same updates give the same bits, whatever was combined before"
        same(law, expected, combined(aggregator, updates))

    def test_facts_are_put_on_record(self) -> None:
        """JSON holds them as they are, and blocks change nothing in them."""
        updates = self._drawn(np.float32)
        whole, parts = self.make(), self.make()
        combined(whole, updates)
        combined(parts, updates, block=7)
        facts = dict(whole.facts())
        law = "`facts` is what JSON gives back, whatever the blocks were"
        hold(law, _as_json(facts) == facts, expected=shown(facts), got=_as_json(facts))
        hold(law, dict(parts.facts()) == facts, expected=shown(facts), got=dict(parts.facts()))

    def test_resuming_goes_on(self) -> None:
        """A rule that is told the newest facts goes on as the one that put them on record."""
        first, second = self._drawn(np.float32), self._drawn(np.float32, seed=1)
        lived, resumed = self.make(), self.make()
        combined(lived, first)
        facts = _as_json(lived.facts())
        expected = combined(lived, second, number=1)
        if facts:
            resumed.resume(facts)
        law = "A rule that is taken up with its newest facts goes on, bit for bit"
        same(law, expected, combined(resumed, second, number=1))

    def test_the_least_number_of_updates_is_enough(self) -> None:
        """`min_updates` is a number of at least 1, and so many updates are combined."""
        least = self.make().min_updates
        law = "`min_updates` updates are enough for a finite result"
        hold(law, least >= 1, expected="at least 1", got=least)
        updates = self._drawn(np.float32).reordered(range(self.clients - least, self.clients))
        result = combined(self.make(), updates)
        hold(law, np.isfinite(result).all(), expected="no NaN and no infinity", got=result)

    def test_weights(self) -> None:
        """One finite weight >= 0 for each contribution, not all of them zero."""
        weights = weights_of(self.make(), self._drawn(np.float32))
        law = "`weigh` answers one weight for each contribution"
        shape = weights.shape == (self.clients,)
        hold(law, shape, expected=f"{self.clients} numbers", got=weights)
        sound = all(math.isfinite(w) and w >= 0 for w in weights)
        hold(law, sound, expected="finite numbers of at least 0", got=weights)
        hold(law, any(weights), expected="one above 0", got=weights)

    def test_weights_belong_to_clients(self) -> None:
        """Contributions in another order have their weights in that order."""
        updates = self._drawn(np.float32)
        order = list(range(self.clients))[::-1]
        expected = weights_of(self.make(), updates)[order]
        actual = weights_of(self.make(), updates.reordered(order))
        near("A weight belongs to its client, whatever the order", expected, actual, rtol=1e-12)

    def test_weighted_mean(self) -> None:
        """The mean worked out exactly, rounded once, if the rule is a weighted mean."""
        if not self.is_weighted_mean:
            pytest.skip("the rule is no weighted mean")
        updates = self._drawn(np.float32)
        weights = weights_of(self.make(), updates)
        result = combined(self.make(), updates)
        exact = [_mean(updates.tensors[:, i], weights) for i in range(_ELEMENTS)]
        law = "A weighted mean is the one worked out exactly"
        near(law, exact, result, rtol=1e-12, atol=1e-12)

    def test_excludes_answers(self) -> None:
        """`excludes` answers for any name, and always the same."""
        aggregator = self.make()
        for name in ("layer.weight", "bn.running_mean", "0"):
            first, second = aggregator.excludes(name), aggregator.excludes(name)
            law = f"`excludes({name!r})` is a yes or a no, and always the same"
            hold(law, first is second, expected=shown(first), got=second)

    def _drawn(self, dtype: npt.DTypeLike, *, seed: int = 0) -> Updates:
        least = self.make().min_updates
        law = "The suite combines at least `min_updates` updates; raise its `clients`"
        hold(law, self.clients >= least, expected=f"at least {least}", got=self.clients)
        updates = drawn(dtype, clients=self.clients, elements=_ELEMENTS, seed=seed)
        sent = [replace(one, kind=self.kind) for one in updates.contributions]
        return self._as_seen(replace(updates, contributions=sent))

    def _as_seen(self, updates: Updates) -> Updates:
        return updates.differences() if self.make().on_differences else updates


def _as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(dict(facts), allow_nan=False))
    return read


def _mean(values: npt.NDArray[Any], weights: npt.NDArray[np.float64]) -> float:
    products = [float(w) * float(v) for w, v in zip(weights, values, strict=True)]
    return math.fsum(products) / math.fsum(weights)
