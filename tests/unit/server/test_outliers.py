# SPDX-License-Identifier: Apache-2.0
"""Whose update is unlike the others', over real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.server.rounds.outliers import Outlier, find_outliers
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

SIZE = 300


class Round:
    """A model, and updates that go about the same way from it."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self.folder, self.size = folder, size
        self.rng = np.random.default_rng(0)
        self.start = self.rng.normal(size=size).astype(np.float32)
        self.way = self.rng.normal(size=size)
        self.base = self._write("base", self.start)
        self.updates: list[Update] = []

    def _write(self, name: str, values: np.ndarray) -> Path:
        path = self.folder / name
        tensors = [("count", "I64", (1,)), ("a", "F32", (self.size - 7,)), ("b", "F32", (7,))]
        with TensorWriter(path, tensors) as writer:
            writer.write("count", np.array([5]))
            writer.write("a", values[:-7].astype(np.float32))
            writer.write("b", values[-7:].astype(np.float32))
            writer.commit()
        return path

    def add(self, client: str, factor: float = 1.0, *, difference: bool = False) -> None:
        moved = factor * (self.way + self.rng.normal(scale=0.5, size=self.size))
        path = self._write(client, moved if difference else self.start + moved)
        kind = UpdateKind.WEIGHT_DIFF if difference else UpdateKind.WEIGHTS
        self.updates.append(Update(Contribution(client, 1.0, kind), lambda: TensorReader(path)))

    def found(self) -> dict[str, Outlier]:
        return {one.client: one for one in find_outliers(self.base, self.updates)}


@pytest.fixture
def round_of(tmp_path: Path) -> Round:
    found = Round(tmp_path)
    for name in ("site-1", "site-2", "site-3"):
        found.add(name)
    return found


def test_nobody_is_odd_among_those_who_agree(round_of: Round) -> None:
    round_of.add("site-4", 3.0)
    round_of.add("site-5", 0.1, difference=True)
    assert round_of.found() == {}


@pytest.mark.parametrize("difference", [False, True])
def test_who_goes_ten_times_the_other_way_is_named_for_both(
    round_of: Round, *, difference: bool
) -> None:
    round_of.add("evil-1", -10.0, difference=difference)
    round_of.add("evil-2", -10.0)
    found = round_of.found()
    assert set(found) == {"evil-1", "evil-2"}
    assert found["evil-1"].times == pytest.approx(10, rel=0.3)
    assert found["evil-1"].cosine < -0.5
    assert "times as long as the middle one" in found["evil-1"].message
    assert "goes against the others'" in found["evil-1"].message


def test_who_only_turns_its_update_round_is_named(round_of: Round) -> None:
    round_of.add("evil", -1.0)
    (odd,) = round_of.found().values()
    assert (odd.client, odd.times < 5) == ("evil", True)
    assert "times as long" not in odd.message


def test_who_sends_a_million_times_as_much_is_named_first(round_of: Round) -> None:
    round_of.add("far", 8.0)
    round_of.add("farther", 1e6)
    round_of.add("site-4")
    assert list(round_of.found()) == ["farther", "far"]


def test_of_two_nobody_is_the_odd_one(tmp_path: Path) -> None:
    pair = Round(tmp_path)
    pair.add("one")
    pair.add("other", 1e6)
    assert pair.found() == {}


def test_where_nothing_moves_nobody_is_odd(tmp_path: Path) -> None:
    still = Round(tmp_path)
    for name in ("a", "b", "c", "d"):
        still.add(name, 0.0)
    assert still.found() == {}
    still.add("e", 1.0)  # one moves, most do not: there is no length to compare with
    assert still.found() == {}


def test_of_a_large_model_a_sample_is_enough(tmp_path: Path) -> None:
    large = Round(tmp_path, size=400_000)
    for name in ("a", "b", "c"):
        large.add(name)
    large.add("evil", -10.0)
    assert set(large.found()) == {"evil"}
