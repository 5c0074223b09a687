# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import build_component
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner_fedavg.fedavg import FedAvg


def contributions(**samples):
    return [Contribution(name, count) for name, count in samples.items()]


def mean(aggregator, values, weights):
    tensors = np.array(values, dtype=np.float32).reshape(len(values), -1)
    return aggregator.combine("w", tensors, np.array(weights, dtype=np.float64))


class TestWeights:
    def test_are_samples_by_default(self):
        assert FedAvg().weigh(contributions(a=10, b=30)) == [10.0, 30.0]

    def test_are_samples_times_the_declared_weight(self):
        made = FedAvg(aggregation_weights={"b": 0.5, "gone": 9})
        assert made.weigh(contributions(a=10, b=30)) == [10.0, 15.0]

    def test_the_divisor_is_the_sum_of_the_same_weights(self):
        made = FedAvg(aggregation_weights={"b": 3})
        weights = made.weigh(contributions(a=10, b=10))
        assert mean(made, [0.0, 4.0], weights) == [3.0]

    def test_a_client_of_weight_zero_does_not_count(self):
        made = FedAvg(aggregation_weights={"b": 0})
        assert mean(made, [2.0, 1e9], made.weigh(contributions(a=5, b=50))) == [2.0]

    def test_all_zero_is_an_error_that_names_the_clients(self):
        made = FedAvg(aggregation_weights={"a": 0, "b": 0.0})
        with pytest.raises(RunFailedError, match=r"weight 0 \(clients: a, b\)") as caught:
            made.weigh(contributions(a=1, b=2))
        assert "aggregation_weights" in caught.value.hint

    @pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
    def test_must_be_numbers_from_zero(self, weight):
        with pytest.raises(ValueError, match="'a'"):
            FedAvg(aggregation_weights={"a": weight})


class TestExcludeVars:
    def test_is_searched_not_matched(self):
        made = FedAvg(exclude_vars=r"running_|^head\.")
        assert made.excludes("bn1.running_mean")
        assert made.excludes("head.weight")
        assert not made.excludes("body.head.weight")

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_nothing_excludes_nothing(self, nothing):
        assert not FedAvg(exclude_vars=nothing).excludes("any")

    def test_an_invalid_expression_is_refused_at_once(self):
        with pytest.raises(ValueError, match="not a regular expression"):
            FedAvg(exclude_vars="(")


class TestExpectedDataKind:
    def test_the_kind_is_checked_by_client(self):
        made = FedAvg(expected_data_kind="WEIGHT_DIFF")
        good = Contribution("a", 1, UpdateKind.WEIGHT_DIFF)
        assert made.weigh([good]) == [1.0]
        with pytest.raises(RunFailedError, match="update of b holds weights"):
            made.weigh([good, Contribution("b", 1)])


def test_sums_in_float64_and_divides_once():
    # In float32, or with weights divided first, the small update would be lost.
    values, weights = [[2.0**24], [1.0], [-(2.0**24)]], [1.0, 1.0, 1.0]
    assert mean(FedAvg(), values, weights) == [1.0 / 3.0]


@pytest.mark.parametrize("elements", [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 50_000])
def test_every_size_of_block(elements):
    tensors = np.random.default_rng(0).normal(size=(3, elements)).astype(np.float32)
    weights = np.array([1.0, 2.0, 3.0])
    expected = sum(w * t.astype(np.float64) for w, t in zip(weights, tensors, strict=True)) / 6.0
    assert np.array_equal(FedAvg().combine("w", tensors, weights), expected)


def test_needs_no_contiguous_block():
    tensors = np.random.default_rng(0).normal(size=(40_000, 3)).astype(np.float32)
    weights = np.array([1.0, 2.0, 3.0])
    expected = FedAvg().combine("w", np.ascontiguousarray(tensors.T), weights)
    assert np.array_equal(FedAvg().combine("w", tensors.T, weights), expected)


@pytest.mark.parametrize(
    "name",
    [
        "FedAvg",
        "ModelAggregator",
        "AccumulateWeightedAggregator",
        "InTimeAccumulateWeightedAggregator",
        (
            "nvflare.app_common.aggregators.intime_accumulate_model_aggregator"
            ".InTimeAccumulateWeightedAggregator"
        ),
    ],
)
def test_older_names_mean_the_same(name):
    catalog = load_plugins(allow=["mmar-runner-fedavg"]).registry
    args = {"aggregation_weights": {"a": 2}, "exclude_vars": "x", "expected_data_kind": "WEIGHTS"}
    made = build_component(catalog, "aggregator", {"name": name, "args": args}, FedAvg)
    assert made.weigh(contributions(a=3)) == [6.0]
