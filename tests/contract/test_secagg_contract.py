# SPDX-License-Identifier: Apache-2.0
"""The laws of a filter and of an aggregator, held by the two of secure aggregation together.

Neither keeps the suites alone: what the filter sends is meant for nobody but the sum, and
different each time; what the aggregator takes is what such filters have sent.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.interfaces.filter import FilterContext
from mmar_runner.testing.contracts.combining import context
from mmar_runner_secagg.masking import SecAggFilter
from mmar_runner_secagg.secure_sum import SecureSum

NAMES = ("site-1", "site-2", "site-3")
SAMPLES = (10.0, 40.0, 70.0)


class Hub:
    """A server for threads: answers a phase once everybody has handed in."""

    def __init__(self, rule: SecureSum) -> None:
        self._rule = rule
        self._posts: dict[str, dict[str, bytes]] = {}
        self._answers: dict[str, dict[str, bytes]] = {}
        self._news = threading.Condition()
        rule.open(context(0))

    def exchange(self, client: str, phase: str, payload: bytes) -> bytes:
        with self._news:
            posts = self._posts.setdefault(phase, {})
            self._rule.check(phase, client, payload)
            posts[client] = payload
            if len(posts) == len(NAMES):
                self._answers[phase] = dict(self._rule.answer(phase, posts))
                self._news.notify_all()
            assert self._news.wait_for(lambda: phase in self._answers, timeout=30)
            return self._answers[phase][client]


def told(name, samples, folder, exchange):
    return FilterContext(
        *(name, 0, UpdateKind.WEIGHT_DIFF, 1),
        num_samples=samples,
        ledger=folder,
        exchange=exchange,
    )


def summed(updates, folder, *, block=None, **arguments):
    """Send updates through filters, and add them up; return the means by tensor."""
    rule = SecureSum(**arguments)
    hub = Hub(rule)

    def send(name, samples, update):
        place = folder / name
        place.mkdir(exist_ok=True)
        one = SecAggFilter(**arguments)

        def exchange(phase, payload):
            return hub.exchange(name, phase, payload)

        one.begin(told(name, samples, place, exchange))
        sent = {tensor: one.apply(tensor, values) for tensor, values in update.items()}
        metrics = one.finish()
        one.settle(told(name, samples, place, exchange))
        return sent, metrics

    with ThreadPoolExecutor(len(NAMES)) as threads:
        results = list(threads.map(send, NAMES, SAMPLES, updates))
    rule.begin(context(0))
    weights = np.array(
        rule.weigh([Contribution(n, s) for n, s in zip(NAMES, SAMPLES, strict=True)])
    )
    means = {}
    for tensor in updates[0]:
        rows = np.stack([sent[tensor].reshape(-1) for sent, _ in results])
        step = block or max(rows.shape[1], 1)
        starts = range(0, rows.shape[1], step)
        parts = [rule.combine(tensor, rows[:, s : s + step], weights) for s in starts]
        means[tensor] = np.concatenate(parts) if parts else np.zeros(0)
    return means, results


def drawn(dtype=np.float32, elements=9000):
    draw = np.random.default_rng(4)
    return [{"w": draw.normal(0, 0.3, elements).astype(dtype)} for _ in NAMES]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("block", [7, 4096, None])
def test_the_mean_is_that_of_the_differences_in_whatever_blocks(tmp_path, bits, block):
    updates = drawn()
    means, _ = summed(updates, tmp_path, block=block, bits=bits)
    expected = np.mean([np.clip(u["w"].astype(np.float64), -1, 1) for u in updates], axis=0)
    off = 1.0 / 2**29 if bits == 32 else 1e-15
    np.testing.assert_allclose(means["w"], expected, rtol=0, atol=off)


def test_weights_are_those_of_the_samples_that_are_told_in_the_open(tmp_path):
    updates = drawn()
    means, _ = summed(updates, tmp_path, weighting="samples", max_samples=50.0)
    weights = np.minimum(SAMPLES, 50.0)  # of the third, more than anybody may claim
    values = [np.clip(u["w"].astype(np.float64), -1, 1) for u in updates]
    expected = np.average(values, axis=0, weights=weights)
    np.testing.assert_allclose(means["w"], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_takes_every_floating_dtype_and_leaves_what_came_in_alone(tmp_path, dtype):
    updates = drawn(dtype, 50)
    before = [u["w"].copy() for u in updates]
    _, results = summed(updates, tmp_path)
    for (sent, _), update, was in zip(results, updates, before, strict=True):
        assert (sent["w"].dtype, sent["w"].shape) == (np.int32, update["w"].shape)
        assert update["w"].tobytes() == was.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 4), (2, 3, 4, 5)], ids=str)
def test_shapes_stay(tmp_path, shape):
    updates = [{"w": np.full(shape, 0.25, np.float32)} for _ in NAMES]
    means, results = summed(updates, tmp_path)
    assert all(sent["w"].shape == shape for sent, _ in results)
    np.testing.assert_allclose(means["w"], np.full(updates[0]["w"].size, 0.25), atol=1e-8)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.bool_])
def test_what_are_no_floating_numbers_keep_the_models_values(tmp_path, dtype):
    updates = [{"n": np.array([1, 0, 1]).astype(dtype)} for _ in NAMES]
    means, _ = summed(updates, tmp_path)
    np.testing.assert_array_equal(means["n"], np.zeros(3))


def test_the_same_update_is_sent_in_other_bits_each_time(tmp_path):
    (_, first), (_, second) = (summed(drawn(), tmp_path) for _ in range(2))
    for (one, _), (other, _) in zip(first, second, strict=True):
        assert (one["w"] != other["w"]).mean() > 0.99


def test_a_round_begins_anew(tmp_path):
    """One filter serves all rounds: of the last one nothing is left that could unmask it."""
    rule = SecureSum()
    Hub(rule)
    one = SecAggFilter()
    with pytest.raises(TaskFailedError, match="this site hides among 3"):
        one.begin(told("site-1", 1.0, tmp_path, lambda *_: _alone(rule)))
    assert list(tmp_path.iterdir()) == []


def _alone(rule: SecureSum) -> bytes:
    from mmar_runner_secagg.client_round import ClientRound

    terms = "32 bits, clip_range 1.0, equal weights"
    pair = {name: ClientRound(name, terms=terms).advertise() for name in ("site-1", "site-2")}
    return rule.answer("keys", pair)["site-1"]


def test_what_was_clipped_is_said(tmp_path):
    updates = [{"w": np.array([0.5, 2.0, -3.0, 0.0], np.float32)} for _ in NAMES]
    means, results = summed(updates, tmp_path)
    np.testing.assert_allclose(means["w"], [0.5, 1.0, -1.0, 0.0], atol=1e-8)
    assert [metrics for _, metrics in results] == [{"secagg_clipped": 0.5}] * 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden_under_a_mask(value):
    """The server, which refuses it in other runs, could not see it; others would have it."""
    with pytest.raises(TaskFailedError, match="'w' has a value that is NaN") as caught:
        SecAggFilter().apply("w", np.array([0.5, value]))
    assert caught.value.reason == "NON_FINITE"


def test_nothing_is_masked_where_nobody_exchanges_anything(tmp_path):
    with pytest.raises(TaskFailedError, match="on their way to a server"):
        SecAggFilter().begin(told("site-1", 1.0, tmp_path, None))
