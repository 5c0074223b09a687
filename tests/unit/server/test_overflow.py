# SPDX-License-Identifier: Apache-2.0
"""Whose update is left out of an aggregate that is not finite."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.overflow import find_overflowing
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.contracts.combining import context
from mmar_runner_fedavg.fedavg import FedAvg

DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64}


@pytest.fixture(autouse=True)
def _silence_is_kept() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def write(path: Path, dtype: str, value: float) -> Path:
    with TensorWriter(path, [("n", "I64", (2,)), ("w", dtype, (3,))]) as writer:
        writer.write("n", np.array([1, 2]))
        writer.write("w", np.full(3, value, DTYPES[dtype]))
        writer.commit()
    return path


class Round:
    """A base and the updates made from it."""

    def __init__(self, folder: Path, dtype: str, base: float = 0.0) -> None:
        self.folder, self.dtype = folder, dtype
        self.base = write(folder / "base", dtype, base)
        self.updates: list[Update] = []

    def add(self, client: str, value: float, samples: float = 1.0, kind: str = "weights") -> None:
        path = write(self.folder / client, self.dtype, value)
        said = Contribution(client, samples, UpdateKind(kind))
        self.updates.append(Update(said, lambda: TensorReader(path)))

    def found(self, rule: Any = None) -> dict[str, str]:
        """Return who is left out, having seen that the others' aggregate is finite."""
        rule = rule or FedAvg()
        with pytest.raises(RunFailedError) as error:
            self.aggregate(rule, self.updates)
        assert error.value.reason == "NON_FINITE"
        found = find_overflowing(Combination(rule, self.base, self.updates, context()))
        rest = [u for u in self.updates if u.contribution.client not in found]
        if found and rest:
            self.aggregate(rule, rest)
        return found

    def aggregate(self, rule: Any, updates: list[Update]) -> None:
        combination = Combination(rule, self.base, updates, context())
        aggregate(combination, self.folder / "out", durable=False)


def test_an_update_that_overflows_with_its_weight_is_named(tmp_path: Path) -> None:
    work = Round(tmp_path, "F64")
    work.add("evil", 1e308, samples=1e15)
    work.add("site-1", 1.0)
    work.add("site-2", 1.0)
    assert work.found() == {"evil": "the update is more than the aggregate of 'w' can hold"}


def test_a_difference_that_the_base_cannot_bear_is_named(tmp_path: Path) -> None:
    work = Round(tmp_path, "F32", base=3.3e38)
    work.add("evil", 3.3e38, samples=1e15, kind="weight_diff")
    work.add("site-1", 1.0, kind="weight_diff")
    assert list(work.found()) == ["evil"]


def test_kinds_may_mix(tmp_path: Path) -> None:
    work = Round(tmp_path, "F32", base=3.3e38)
    work.add("evil", 3.3e38, samples=1e15, kind="weight_diff")
    work.add("site-1", 1.0)
    assert list(work.found()) == ["evil"]


def test_all_that_do_not_fit_are_named_even_if_nobody_is_left(tmp_path: Path) -> None:
    work = Round(tmp_path, "F64")
    work.add("a", 1e308, samples=1e15)
    work.add("b", -1e308, samples=1e15)
    assert list(work.found()) == ["a", "b"]


def test_of_those_that_overflow_together_the_largest_go(tmp_path: Path) -> None:
    work = Round(tmp_path, "F64")
    work.add("a", 1e308)
    work.add("b", 1.5e308)
    work.add("c", 1.0)
    assert work.found() == {"b": "the update and the others add up to infinity"}


def test_of_equals_those_go_whose_names_come_first(tmp_path: Path) -> None:
    work = Round(tmp_path, "F64")
    for client in ("a", "b", "c"):
        work.add(client, 1e308)
    work.add("d", 1.0)
    assert list(work.found()) == ["a", "b"]


def test_a_rule_that_is_never_finite_is_nobodys_fault(tmp_path: Path) -> None:
    class Broken(FedAvg):
        def finish(self, accumulator: Any, name: str, weights: Any) -> Any:
            return super().finish(accumulator, name, weights) + np.inf

    work = Round(tmp_path, "F64")
    work.add("a", 1.0)
    work.add("b", 2.0)
    assert work.found(Broken()) == {}


class DifferenceMean(FedAvg):
    """A mean of differences: what overflows is the result on top of the base."""

    on_differences = True


def test_of_a_rule_that_sees_differences_the_differences_are_judged(tmp_path: Path) -> None:
    """Weights that hardly moved are not to blame, however large they are."""
    work = Round(tmp_path, "F64", base=1.6e308)
    work.add("evil", 1e308, samples=100.0, kind="weight_diff")
    work.add("site-1", 1.6e308, samples=100.0)
    assert work.found(DifferenceMean()) == {
        "evil": "the update is more than the aggregate of 'w' can hold"
    }
