# SPDX-License-Identifier: Apache-2.0
"""Aggregation over files: whatever the rule, the walk around it must be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import Contribution, TensorwiseAggregator, UpdateKind
from mmar_runner.server.rounds import update_blocks, walk
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_bytes import TensorBytes
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file
from mmar_runner.testing.contracts.combining import context

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

DTYPES = {
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}


def combined(
    rule: TensorwiseAggregator,
    base: Path,
    updates: list[Update],
    destination: Path,
    *,
    durable: bool = False,
    excluded: Collection[str] = (),
) -> tuple[str, list[float]]:
    combination = Combination(rule, base, updates, context(), excluded)
    made = aggregate(combination, destination, durable=durable)
    return made.sha256, made.weights


class Mean(TensorwiseAggregator):
    """The weighted mean, as short as it can be."""

    def __init__(self, exclude: str = "") -> None:
        self.exclude = exclude
        self.measured = 0

    def excludes(self, name: str) -> bool:
        return name == self.exclude

    def measure(self, name: str, tensors: Any, weights: Any) -> None:
        self.measured += tensors.shape[1]

    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        total = sum(w * t.astype(np.float64) for w, t in zip(weights, tensors, strict=True))
        return total / weights.sum()


class FoldingMean(Mean):
    """The same mean, folded."""

    foldable = True

    def fold(self, accumulator: Any, name: str, tensor: Any, weight: float) -> None:
        accumulator += weight * tensor.astype(np.float64)

    def finish(self, accumulator: Any, name: str, weights: Any) -> Any:
        return accumulator / weights.sum()


def write(path: Path, tensors: dict[str, tuple[str, Any]]) -> Path:
    listed = [(name, dtype, np.shape(value)) for name, (dtype, value) in tensors.items()]
    with TensorWriter(path, listed) as writer:
        for name, (dtype, value) in tensors.items():
            writer.write(name, np.asarray(value, DTYPES[dtype]).reshape(-1))
        writer.commit()
    return path


def update(
    path: Path, client: str, samples: float, kind: UpdateKind = UpdateKind.WEIGHTS
) -> Update:
    return Update(Contribution(client, samples, kind), lambda: TensorReader(path))


def read(path: Path) -> dict[str, Any]:
    with TensorReader(path) as reader:
        return {name: reader.read(name) for name in reader.header.tensors}


@pytest.mark.parametrize("rule", [Mean, FoldingMean])
@pytest.mark.parametrize("dtype", ["F32", "F64", "BF16"])
def test_weighted_mean(tmp_path: Path, rule: type[Mean], dtype: str) -> None:
    base = write(tmp_path / "base", {"w": (dtype, [0, 0, 0])})
    one = write(tmp_path / "a", {"w": (dtype, [1, 2, 4])})
    two = write(tmp_path / "b", {"w": (dtype, [5, 2, 0])})
    updates = [update(one, "a", 1), update(two, "b", 3)]
    digest, weights = combined(rule(), base, updates, tmp_path / "out", durable=True)
    assert read(tmp_path / "out")["w"].astype(float).tolist() == [4, 2, 1]
    assert weights == [1, 3]
    assert digest == sha256_file(tmp_path / "out")


def test_integers_round_to_even_and_booleans_vote(tmp_path: Path) -> None:
    base = write(tmp_path / "base", {"n": ("I64", [0, 0]), "u": ("U8", [0]), "b": ("BOOL", [0, 0])})
    one = write(tmp_path / "a", {"n": ("I64", [1, 2]), "u": ("U8", [255]), "b": ("BOOL", [1, 1])})
    two = write(tmp_path / "b", {"n": ("I64", [2, 3]), "u": ("U8", [254]), "b": ("BOOL", [0, 1])})
    combined(
        Mean(), base, [update(one, "a", 1), update(two, "b", 1)], tmp_path / "out", durable=False
    )
    result = read(tmp_path / "out")
    assert result["n"].tolist() == [2, 2]  # 1.5 and 2.5
    assert result["u"].tolist() == [254]
    assert result["b"].tolist() == [False, True]


@pytest.mark.parametrize("rule", [Mean, FoldingMean])
def test_differences_are_added_to_the_base_and_kinds_may_mix(
    tmp_path: Path, rule: type[Mean]
) -> None:
    base = write(tmp_path / "base", {"w": ("F32", [10, 20])})
    difference = write(tmp_path / "d", {"w": ("F32", [2, 4])})
    weights = write(tmp_path / "w", {"w": ("F32", [14, 20])})
    only = [update(difference, "d", 1, UpdateKind.WEIGHT_DIFF)]
    combined(rule(), base, only, tmp_path / "out")
    assert read(tmp_path / "out")["w"].tolist() == [12, 24]
    both = [*only, update(weights, "w", 1)]
    combined(rule(), base, both, tmp_path / "out")
    assert read(tmp_path / "out")["w"].tolist() == [13, 22]


def test_excluded_tensors_keep_the_global_value(tmp_path: Path) -> None:
    base = write(tmp_path / "base", {"a": ("F32", [1]), "b": ("F32", [2])})
    other = write(tmp_path / "u", {"b": ("F32", [7]), "a": ("F32", [7])})
    combined(Mean("b"), base, [update(other, "c", 1)], tmp_path / "out")
    assert {k: v.tolist() for k, v in read(tmp_path / "out").items()} == {"a": [7], "b": [2]}
    sent = [update(other, "c", 1)]
    combined(Mean(), base, sent, tmp_path / "out", excluded={"a"})
    assert {k: v.tolist() for k, v in read(tmp_path / "out").items()} == {"a": [1], "b": [7]}


@pytest.mark.parametrize("elements", [1, 7, 100])
def test_block_size_and_open_files_do_not_matter(
    tmp_path: Path, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    base = write(tmp_path / "base", {"w": ("F32", generator.normal(size=50))})
    updates = [
        update(write(tmp_path / f"u{i}", {"w": ("F32", generator.normal(size=50))}), f"c{i}", i + 1)
        for i in range(5)
    ]
    expected, _ = combined(FoldingMean(), base, updates, tmp_path / "expected")
    monkeypatch.setattr(walk, "FOLD_ELEMENTS", elements)
    monkeypatch.setattr(walk, "_BLOCK_BUDGET", elements * 5 * 4)
    monkeypatch.setattr(update_blocks, "_OPEN_FILES", 2)
    for rule in (Mean(), FoldingMean()):
        digest, _ = combined(rule, base, updates, tmp_path / "out")
        assert digest == expected


def test_a_first_pass_sees_every_element_once(tmp_path: Path) -> None:
    class Measuring(Mean):
        needs_measure = True

    base = write(tmp_path / "base", {"a": ("F32", [1, 2]), "b": ("F32", [3])})
    rule = Measuring()
    combined(rule, base, [update(base, "c", 1)], tmp_path / "out")
    assert rule.measured == 3


def test_updates_in_memory_are_read_like_files(tmp_path: Path) -> None:
    base = write(tmp_path / "base", {"w": ("F32", [0, 0]), "s": ("F32", 1)})
    one = write(tmp_path / "a", {"w": ("F32", [1, 2]), "s": ("F32", 3)})
    data = one.read_bytes()
    inline = Update(Contribution("a", 1), lambda: TensorBytes(data))
    first, _ = combined(Mean(), base, [inline], tmp_path / "out")
    second, _ = combined(Mean(), base, [update(one, "a", 1)], tmp_path / "out2")
    assert first == second


class BadWeights(Mean):
    def weigh(self, contributions: Any) -> list[float]:
        return [float("nan")] * len(contributions)


class BadShape(Mean):
    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        return tensors


class Infinite(Mean):
    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        return np.full(tensors.shape[1], 1e300)


class NoArray(Mean):
    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        return None


class BadFacts(Mean):
    def facts(self) -> dict[str, Any]:
        return {"norm": float("nan")}


class TooManyFacts(Mean):
    def facts(self) -> dict[str, Any]:
        return {"noise": "x" * (1 << 20)}


class NeedsThree(Mean):
    min_updates = 3


class BadFinish(FoldingMean):
    def finish(self, accumulator: Any, name: str, weights: Any) -> Any:
        return accumulator.sum()


@pytest.mark.parametrize(
    ("rule", "said", "mend"),
    [
        (BadWeights, "gave weights that are not usable: [nan]", "weigh must return 1 finite"),
        (BadShape, "gave (1, 2) for a block of 2 of 'w'", "combine must return an array of 2 num"),
        (NoArray, "gave NoneType for a block of 2 of 'w'", "combine must return an array of 2 num"),
        (BadFinish, "gave float64 for a block of 2 of 'w'", "finish must return an array of 2 num"),
        (BadFacts, "gave facts that cannot be put on record: Out of", "what JSON can hold"),
        (TooManyFacts, "gave facts of 1048589 letters for one round", "leave out what"),
        (NeedsThree, "needs 3 updates, and the round has 1", "raise min_num_clients to 3"),
        (Infinite, "gave NaN, infinity or more than that holds", "a division by 0"),
    ],
)
def test_a_rule_that_misbehaves_fails_the_round_by_its_name_and_leaves_no_model(
    tmp_path: Path, rule: type[Mean], said: str, mend: str
) -> None:
    base = write(tmp_path / "base", {"w": ("F32", [1, 2])})
    label = "the aggregator Rule (config/config_fed_server.json:7)"
    combination = Combination(rule(), base, [update(base, "c", 1)], context(), label=label)
    with pytest.raises(RunFailedError) as caught:
        aggregate(combination, tmp_path / "out", durable=False)
    assert f"{label} {said}" in caught.value.message
    assert mend in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


class Sees(FoldingMean):
    """Keeps what it saw; it wants differences."""

    on_differences = True

    def __init__(self, *, folds: bool) -> None:
        super().__init__()
        self.folds, self.seen = folds, []

    @property
    def foldable(self) -> bool:  # type: ignore[override]
        return self.folds

    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        self.seen = [row.tolist() for row in tensors]
        assert tensors.dtype == np.float64
        return super().combine(name, tensors, weights)

    def fold(self, accumulator: Any, name: str, tensor: Any, weight: float) -> None:
        self.seen.append(tensor.tolist())
        assert tensor.dtype == np.float64
        super().fold(accumulator, name, tensor, weight)


@pytest.mark.parametrize("folds", [False, True])
def test_a_rule_may_see_differences_whatever_was_sent(tmp_path: Path, folds: bool) -> None:
    base = write(tmp_path / "base", {"w": ("F32", [10, 20])})
    difference = write(tmp_path / "d", {"w": ("F32", [2, 4])})
    weights = write(tmp_path / "w", {"w": ("F32", [14, 20])})
    sent = {
        "weights": [update(weights, "w", 1)],
        "differences": [update(difference, "d", 1, UpdateKind.WEIGHT_DIFF)],
    }
    for updates, seen, result in (
        (sent["weights"], [[4, 0]], [14, 20]),
        (sent["differences"], [[2, 4]], [12, 24]),
        ([*sent["differences"], *sent["weights"]], [[2, 4], [4, 0]], [13, 22]),
    ):
        rule = Sees(folds=folds)
        combined(rule, base, updates, tmp_path / "out")
        assert rule.seen == seen
        assert read(tmp_path / "out")["w"].tolist() == result


def test_every_walk_begins_anew_and_its_facts_are_given(tmp_path: Path) -> None:
    class Counts(Mean):
        needs_measure = True

        def begin(self, said: Any) -> None:
            self.round, self.measured = said.round, 0

        def facts(self) -> dict[str, Any]:
            return {"round": self.round, "seen": self.measured, "share": np.float64(0.5)}

    base = write(tmp_path / "base", {"w": ("F32", [1, 2])})
    rule = Counts()
    for number in (4, 5):
        combination = Combination(rule, base, [update(base, "c", 1)], context(number))
        made = aggregate(combination, tmp_path / "out", durable=False)
        assert made.facts == {"round": number, "seen": 2, "share": 0.5}


@pytest.mark.parametrize("rule", [Mean, FoldingMean])
def test_an_update_of_an_older_model_is_a_difference_to_that_and_counts_less(
    tmp_path: Path, rule: type[Mean]
) -> None:
    base = write(tmp_path / "base", {"w": ("F32", [10, 20]), "n": ("I64", [4, 4])})
    older = write(tmp_path / "older", {"w": ("F32", [1, 2]), "n": ("I64", [0, 0])})
    sent = write(tmp_path / "sent", {"w": ("F32", [5, 10]), "n": ("I64", [8, 4])})
    step = write(tmp_path / "step", {"w": ("F32", [4, 8]), "n": ("I64", [8, 4])})
    fresh = write(tmp_path / "fresh", {"w": ("F32", [12, 20]), "n": ("I64", [4, 4])})

    def stale(path: Path, kind: UpdateKind, below: Path | None) -> Update:
        said = Contribution("a", 1.0, kind, {}, 3)
        return Update(said, lambda: TensorReader(path), 0.5, below)

    weights = stale(sent, UpdateKind.WEIGHTS, older)
    difference = stale(step, UpdateKind.WEIGHT_DIFF, None)
    results = []
    for one in (weights, difference):
        combined(rule(), base, [one, update(fresh, "b", 1.0)], tmp_path / "out")
        results.append({name: found.tolist() for name, found in read(tmp_path / "out").items()})
    # Half of (4, 8) and all of (2, 0), divided by two; half of (8, 4) and nothing.
    assert results == [{"w": [12, 22], "n": [6, 5]}] * 2
