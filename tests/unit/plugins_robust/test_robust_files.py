# SPDX-License-Identifier: Apache-2.0
"""Robust rules over files: kinds that mix, whole numbers, what is excluded, and the table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.tags import least_clients, tags_of
from mmar_runner.server.rounds import walk
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.contracts.combining import context
from mmar_runner_robust.bulyan import Bulyan
from mmar_runner_robust.clipping import NormClipping
from mmar_runner_robust.coordinates import Median, TrimmedMean
from mmar_runner_robust.geometric import GeometricMedian
from mmar_runner_robust.krum import Krum, MultiKrum

if TYPE_CHECKING:
    from pathlib import Path

RULES: dict[str, dict[str, Any]] = {
    "Median": {},
    "TrimmedMean": {"num_malicious": 2},
    "Krum": {"num_malicious": 2},
    "MultiKrum": {"num_malicious": 2},
    "Bulyan": {"num_malicious": 1},
    "GeometricMedian": {},
    "NormClipping": {"max_norm": 3.0},
}
CLASSES = (Median, TrimmedMean, Krum, MultiKrum, Bulyan, GeometricMedian, NormClipping)
TENSORS = {"w": ("F32", (60,)), "count": ("I64", ()), "flag": ("BOOL", (2,)), "head": ("F32", (9,))}
_DTYPES = {"F32": np.float32, "I64": np.int64, "BOOL": np.bool_}


def write(path: Path, values: dict[str, Any]) -> Path:
    with TensorWriter(path, [(name, *said) for name, said in TENSORS.items()]) as writer:
        for name, (dtype, _) in TENSORS.items():
            writer.write(name, np.asarray(values[name]).reshape(-1).astype(_DTYPES[dtype]))
        writer.commit()
    return path


def read(path: Path) -> dict[str, Any]:
    with TensorReader(path) as reader:
        return {name: reader.read(name) for name in TENSORS}


class Scene:
    """Seven sites, of which two send what is far away, in either kind."""

    def __init__(self, folder: Path) -> None:
        random = np.random.default_rng(3)
        self.folder = folder
        start = {"w": random.normal(size=60), "count": 100, "flag": [0, 1], "head": np.ones(9)}
        self.base = write(folder / "base", start)
        self.start = read(self.base)
        self.moves = [
            {
                "w": random.normal(size=60).astype(np.float32) * (0.1 if i < 5 else -50),
                "count": 10 * (i + 1),
                "head": np.full(9, 1e6),
            }
            for i in range(7)
        ]

    def update(self, index: int, kind: UpdateKind) -> Update:
        values: dict[str, Any] = {**self.moves[index], "flag": [1, 1]}
        if kind is UpdateKind.WEIGHTS:
            values |= {name: self.start[name] + values[name] for name in ("w", "count", "head")}
        else:
            values["flag"] = [1, 0]  # 0 and 1 are to become 1 and 1
        path = write(self.folder / f"{kind}_{index}", values)
        said = Contribution(f"site-{index + 1}", 10.0 + index, kind)
        return Update(said, partial(TensorReader, path))

    def combined(self, rule: Any, kinds: list[UpdateKind], name: str = "out") -> dict[str, Any]:
        sent = [self.update(index, kind) for index, kind in enumerate(kinds)]
        combination = Combination(rule, self.base, sent, context(), excluded=["head"])
        self.made = aggregate(combination, self.folder / name, durable=False)
        return read(self.folder / name)


@pytest.mark.parametrize("make", CLASSES, ids=lambda c: c.__name__)
def test_weights_differences_and_both_give_the_same(tmp_path: Path, make: Any) -> None:
    scene = Scene(tmp_path)
    arguments = RULES[make.__name__]
    weights, differences = [UpdateKind.WEIGHTS] * 7, [UpdateKind.WEIGHT_DIFF] * 7
    mixed = [*weights[:3], *differences[:4]]
    found = [scene.combined(make(**arguments), kinds) for kinds in (weights, differences, mixed)]
    for one in found:
        moved = np.linalg.norm(one["w"] - scene.start["w"])
        assert moved < 3, "the two that are far away moved it"
        np.testing.assert_allclose(one["w"], found[0]["w"], atol=1e-4)
        assert one["head"].tolist() == [1.0] * 9  # excluded, and in no distance
        assert abs(int(one["count"]) - int(found[0]["count"])) <= 1
        assert one["flag"].tolist() == [True, True] or make is NormClipping
        assert 100 <= one["count"] <= 170


@pytest.mark.parametrize("make", CLASSES, ids=lambda c: c.__name__)
def test_blocks_of_files_change_no_bit(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    kinds = [UpdateKind.WEIGHTS] * 7
    scene.combined(make(**RULES[make.__name__]), kinds)
    whole = scene.made
    monkeypatch.setattr(walk, "_UPDATE_BYTES", 28)
    scene.combined(make(**RULES[make.__name__]), kinds)
    assert scene.made == whole


def test_whole_numbers_are_on_another_scale_and_choose_nobody(tmp_path: Path) -> None:
    """Krum would else follow how many batches a site had, whatever it learned."""
    scene = Scene(tmp_path)
    for kinds in ([UpdateKind.WEIGHTS] * 7, [UpdateKind.WEIGHTS, *[UpdateKind.WEIGHT_DIFF] * 6]):
        scene.combined(Krum(2), kinds)
        chosen = scene.made.facts["chosen"]
        for move in scene.moves:
            move["count"] = int(move["count"]) ** 3
        scene.combined(Krum(2), kinds)
        assert scene.made.facts["chosen"] == chosen


@pytest.mark.parametrize("make", CLASSES, ids=lambda c: c.__name__)
def test_what_is_registered_is_what_the_class_says(make: Any) -> None:
    name, arguments = make.__name__, RULES[make.__name__]
    found = load_plugins().registry.find(ComponentKind.AGGREGATOR, name)
    assert found is not None
    assert make(**arguments).min_updates == least_clients(found.extras, arguments)
    assert "needs_each_update" in tags_of(found.extras, arguments)
    by_samples = "scales_by_samples" in tags_of(found.extras, {"weighted": True, **arguments})
    assert make(**arguments).by_samples is by_samples
    assert {"memory", "paper"} <= set(found.extras)
