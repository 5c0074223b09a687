# SPDX-License-Identifier: Apache-2.0
"""What a rule keeps from round to round: its file is right, whatever the walk around it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.interfaces.server_state import StatefulAggregator
from mmar_runner.server.rounds import walk
from mmar_runner.server.rounds.aggregation import Aggregate, aggregate
from mmar_runner.server.rounds.overflow import find_overflowing
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file
from mmar_runner.testing.contracts.combining import context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TENSORS = {"w": ("F32", (5, 3)), "n": ("I64", (2,)), "h": ("F16", (4,)), "out": ("F32", (2,))}
DTYPES = {"F32": np.float32, "I64": np.int64, "F16": np.float16}


class Averaging(StatefulAggregator):
    """Keeps the mean and its square; excludes one tensor."""

    state = {"mean": 0.0, "square": 4.0}  # noqa: RUF012 - as short as an author writes it
    foldable = False
    growth = 1.0

    def excludes(self, name: str) -> bool:
        return name == "out"

    def combine(self, name: str, tensors: Any, weights: Any) -> Any:
        return (weights[:, None] * tensors).sum(axis=0) / weights.sum()

    def step(self, name: str, base: Any, mean: Any, state: Mapping[str, Any]) -> Any:
        state["mean"][:] = (state["mean"] + mean) * self.growth
        state["square"] += mean**2
        return state["mean"] / np.sqrt(state["square"])


def write(path: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    with TensorWriter(path, [(name, d, s) for name, (d, s) in TENSORS.items()]) as writer:
        for name, (dtype, shape) in TENSORS.items():
            writer.write(name, (random.normal(size=shape) * 4).astype(DTYPES[dtype]))
        writer.commit()
    return path


def read(path: Path) -> dict[str, Any]:
    with TensorReader(path) as reader:
        return {name: reader.read(name) for name in reader.header.tensors}


def rounds(folder: Path, rule: StatefulAggregator, number: int = 3) -> list[Aggregate]:
    """Run rounds, the files of which lie in a folder."""
    folder.mkdir()
    base, state, made = write(folder / "round_0", 99), None, []
    for k in range(number):
        updates = [
            Update(
                Contribution(f"c{i}", i + 1.0, UpdateKind.WEIGHT_DIFF),
                partial(TensorReader, write(folder / f"u{k}{i}", 10 * k + i)),
            )
            for i in range(3)
        ]
        combination = Combination(rule, base, updates, context(k), state=state)
        base, state = folder / f"round_{k + 1}", folder / f"state_{k + 1}"
        made.append(aggregate(combination, base, durable=False, state=state))
    return made


def test_a_round_finds_what_the_one_before_kept(tmp_path: Path) -> None:
    made = rounds(tmp_path / "run", Averaging())
    model, mean, square = read(tmp_path / "run" / "round_0")["w"], 0.0, 4.0
    for k, found in enumerate(made):
        sent = [read(tmp_path / "run" / f"u{k}{i}")["w"].astype(np.float64) for i in range(3)]
        got = sum((i + 1.0) * one for i, one in enumerate(sent)) / 6.0
        mean, square = mean + got, square + got**2
        model = (model + mean / np.sqrt(square)).astype(np.float32)
        np.testing.assert_allclose(read(tmp_path / "run" / f"round_{k + 1}")["w"], model, rtol=1e-6)
        path = tmp_path / "run" / f"state_{k + 1}"
        assert found.state_sha256 == sha256_file(path)
        kept = read(path)["w"]
        np.testing.assert_allclose(kept[:, 0].reshape(5, 3), mean, rtol=1e-12)
        np.testing.assert_allclose(kept[:, 1].reshape(5, 3), square, rtol=1e-12)


def test_only_floating_tensors_that_are_not_excluded_have_a_state(tmp_path: Path) -> None:
    rounds(tmp_path / "run", Averaging(), 1)
    with TensorReader(tmp_path / "run" / "state_1") as reader:
        listed = {t.name: (t.dtype, t.shape) for t in reader.header.tensors.values()}
        assert listed == {"w": ("F64", (15, 2)), "h": ("F64", (4, 2))}
        assert reader.header.metadata == {"slots": "mean,square"}
    result, base = read(tmp_path / "run" / "round_1"), read(tmp_path / "run" / "round_0")
    assert result["out"].tolist() == base["out"].tolist()
    sent = [read(tmp_path / "run" / f"u0{i}")["n"] for i in range(3)]
    mean = sum((i + 1.0) * one for i, one in enumerate(sent)) / 6.0
    assert result["n"].tolist() == np.rint(base["n"] + mean).astype(int).tolist()


@pytest.mark.parametrize("elements", [1, 7, 100])
def test_block_size_changes_no_bit_of_it(
    tmp_path: Path, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rounds(tmp_path / "expected", Averaging())
    monkeypatch.setattr(walk, "FOLD_ELEMENTS", elements)
    monkeypatch.setattr(walk, "_BLOCK_BUDGET", elements * 3 * 8)
    found = rounds(tmp_path / "found", Averaging())
    assert [(m.sha256, m.state_sha256) for m in found] == [
        (m.sha256, m.state_sha256) for m in expected
    ]


def test_a_state_that_is_not_finite_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    rule = Averaging()
    rule.growth = np.inf
    with pytest.raises(RunFailedError, match="keeps of 'w' is not finite") as refused:
        rounds(tmp_path / "run", rule, 1)
    assert refused.value.reason == "NON_FINITE"
    assert not list((tmp_path / "run").glob("*round_1*"))
    assert not list((tmp_path / "run").glob("*state_1*"))


def test_whose_update_is_too_large_is_found_without_keeping_anything(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rounds(folder, Averaging(), 1)
    listed = [(name, dtype, shape) for name, (dtype, shape) in TENSORS.items()]
    with TensorWriter(tmp_path / "huge", listed) as writer:
        for name, (dtype, shape) in TENSORS.items():
            writer.write(name, np.full(shape, 65000).astype(DTYPES[dtype]))
        writer.commit()
    sent = {"huge": tmp_path / "huge", "small": folder / "u00"}
    said = (Contribution(name, 1.0, UpdateKind.WEIGHT_DIFF) for name in sent)
    opened = (partial(TensorReader, path) for path in sent.values())
    updates = [Update(one, opens) for one, opens in zip(said, opened, strict=True)]
    state = folder / "state_1"
    before = sorted(path.name for path in folder.iterdir())
    rule = Averaging()
    rule.growth = 1e200  # times 65000 and what it finds: more than a float16, and than any other
    combination = Combination(rule, folder / "round_1", updates, context(1), state=state)
    found = find_overflowing(combination)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert "small" not in found


def test_a_rule_without_slots_keeps_no_file(tmp_path: Path) -> None:
    class Halving(Averaging):
        state = {}  # noqa: RUF012

        def step(self, name: str, base: Any, mean: Any, state: Mapping[str, Any]) -> Any:
            return mean / 2

    (made,) = rounds(tmp_path / "run", Halving(), 1)
    assert made.state_sha256 == ""
    assert not (tmp_path / "run" / "state_1").exists()


def test_a_step_of_another_shape_is_named(tmp_path: Path) -> None:
    class Wrong(Averaging):
        def step(self, name: str, base: Any, mean: Any, state: Mapping[str, Any]) -> Any:
            return mean[:1]

    with pytest.raises(RunFailedError, match="for a block of 15 of 'w'") as refused:
        rounds(tmp_path / "run", Wrong(), 1)
    assert "step must return" in (refused.value.hint or "")
