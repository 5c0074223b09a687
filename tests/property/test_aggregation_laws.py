# SPDX-License-Identifier: Apache-2.0
"""The laws of a weighted mean, for any values, weights and cuts of a tensor."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mmar_runner_fedavg.fedavg import FedAvg

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
WEIGHTS = st.floats(2.0**-10, 2.0**20, width=32)

settings.register_profile("laws", max_examples=60, deadline=None)
laws = settings(settings.get_profile("laws"))


@st.composite
def federations(draw, most=8):
    clients = draw(st.integers(1, most))
    elements = draw(st.integers(1, 40))
    tensors = draw(arrays.arrays(np.float32, (clients, elements), elements=FINITE))
    weights = draw(st.lists(WEIGHTS, min_size=clients, max_size=clients))
    return tensors, np.array(weights, dtype=np.float64)


def exact(tensors, weights):
    """The weighted mean in rational arithmetic."""
    total = sum(Fraction(w) for w in weights)
    return [
        sum(Fraction(w) * Fraction(float(v)) for w, v in zip(weights, column, strict=True)) / total
        for column in tensors.T
    ]


def combined(tensors, weights):
    return FedAvg().combine("w", tensors, weights)


@laws
@given(federations())
def test_is_the_mean(federation):
    tensors, weights = federation
    # An error of a few units in the last place of the largest term, not of the result:
    # terms may cancel.
    scale = np.abs(tensors.astype(np.float64)).max(axis=0) * 2.0**-48
    for value, expected, room in zip(
        combined(tensors, weights), exact(tensors, weights), scale, strict=True
    ):
        assert abs(Fraction(float(value)) - expected) <= Fraction(float(room))


@laws
@given(federations(), st.randoms(use_true_random=False))
def test_order_of_clients_does_not_matter(federation, random):
    tensors, weights = federation
    order = list(range(len(weights)))
    random.shuffle(order)
    scale = np.abs(tensors.astype(np.float64)).max(axis=0) * 2.0**-48
    difference = combined(tensors[order], weights[order]) - combined(tensors, weights)
    assert (np.abs(difference) <= scale).all()


@laws
@given(federations(), st.integers(-20, 20))
def test_scale_of_weights_does_not_matter(federation, exponent):
    tensors, weights = federation
    scaled = combined(tensors, weights * 2.0**exponent)
    assert scaled.tobytes() == combined(tensors, weights).tobytes()


@laws
@given(federations(), st.data())
def test_any_cut_into_blocks_gives_the_same_bits(federation, data):
    tensors, weights = federation
    cut = data.draw(st.integers(0, tensors.shape[1]))
    parts = [combined(tensors[:, :cut], weights), combined(tensors[:, cut:], weights)]
    assert np.concatenate(parts).tobytes() == combined(tensors, weights).tobytes()


@laws
@given(federations())
def test_folding_gives_the_same_bits(federation):
    tensors, weights = federation
    made, accumulator = FedAvg(), np.zeros(tensors.shape[1])
    for tensor, weight in zip(tensors, weights, strict=True):
        made.fold(accumulator, "w", tensor, float(weight))
    assert made.finish(accumulator, "w", weights).tobytes() == combined(tensors, weights).tobytes()


@laws
@given(federations())
def test_unanimity_gives_the_same_float32(federation):
    tensors, weights = federation
    same = np.repeat(tensors[:1], len(weights), axis=0)
    assert np.array_equal(combined(same, weights).astype(np.float32), tensors[0])


@laws
@given(federations())
def test_lies_between_the_extremes(federation):
    tensors, weights = federation
    result = combined(tensors, weights).astype(np.float32)
    assert (result >= tensors.min(axis=0)).all()
    assert (result <= tensors.max(axis=0)).all()


@laws
@given(federations(), st.integers(2, 4))
def test_a_client_that_counts_twice_is_two_clients(federation, times):
    tensors, weights = federation
    weights = np.ceil(weights)
    repeated = np.concatenate([tensors, *[tensors[:1]] * (times - 1)])
    heavier = weights.copy()
    heavier[0] *= times
    one = combined(tensors, heavier)
    many = combined(repeated, np.concatenate([weights, *[weights[:1]] * (times - 1)]))
    scale = np.abs(tensors.astype(np.float64)).max(axis=0) * 2.0**-48
    assert (np.abs(one - many) <= scale).all()
    assert math.isclose(math.fsum(heavier), math.fsum(weights) + (times - 1) * weights[0])
