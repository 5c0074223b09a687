# SPDX-License-Identifier: Apache-2.0
"""Partial sums: what a combiner adds up is what its parent would have added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmar_runner.errors import RefusedError, RunFailedError
from mmar_runner.interfaces.aggregator import AggregationContext, Contribution, UpdateKind
from mmar_runner.interfaces.update import Part, UpdateFacts
from mmar_runner.server.calls.partials import require_counted_once
from mmar_runner.server.records.record import CountedUpdate, OnRecord
from mmar_runner.server.records.summary import shares_of
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.overflow import find_overflowing
from mmar_runner.server.rounds.partial_sum import write_partial_sum
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner_fedavg.fedavg import FedAvg
from mmar_runner_fedopt.optimizers import FedAdam
from tests.updates import accepted, facts

CONTEXT = AggregationContext(0, 3, 0, 4, 4, b"s" * 32)
LAYOUT = [
    ("half", "F16", (7,)),
    ("brain", "BF16", (3, 5)),
    ("weight", "F32", (300, 1001)),
    ("count", "I64", (4,)),
    ("flag", "BOOL", (5,)),
    ("left", "F32", (6,)),
]
SAMPLES = (3, 10, 7, 113, 41, 2, 59, 17)
RULES = {
    "FedAvg": lambda: FedAvg({"site-2": 0.3, "site-5": 0.0}, exclude_vars="left"),
    "FedAdam": FedAdam,
}


def write(path: Path, seed: int, scale: float = 1.0) -> Path:
    rng = np.random.default_rng(seed)
    with TensorWriter(path, LAYOUT) as writer:
        for name, _, shape in LAYOUT:
            count, dtype = int(np.prod(shape)), writer.header.tensors[name].dtype
            values = rng.standard_normal(count) * scale
            writer.write(name, _as(values, dtype))
        writer.commit()
    return path


def _as(values: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:

    if dtype == "BOOL":
        return np.asarray(values > 0)
    held = np.clip(values, -65000, 65000)  # what F16 holds
    return (held * (100 if dtype == "I64" else 1)).astype(numpy_dtype(dtype))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("updates")
    base = write(folder / "base", 99)
    return base, [write(folder / f"site-{n}", n) for n in range(1, len(SAMPLES) + 1)]


def own(path: Path, samples: float, kind: UpdateKind) -> Update:
    return Update(Contribution(path.name, samples, kind), lambda: TensorReader(path))


def combination(rule: Any, base: Path, updates: Sequence[Update]) -> Combination:
    return Combination(rule(), base, list(updates), CONTEXT)


def summed(rule: Any, base: Path, updates: Sequence[Update], path: Path) -> Update:
    """Return some updates as their combiner sends them."""
    made = write_partial_sum(combination(rule, base, updates), path)
    parts = tuple(one for update in updates for one in update.contributions)
    whole = Contribution(path.name, sum(p.num_samples for p in parts), made.kind)
    return Update(whole, lambda: TensorReader(path), parts=parts)


def tree(rule: Any, base: Path, updates: Sequence[Update], folder: Path, width: int) -> Update:
    """Return the sum of a tree whose combiners have so many children."""
    level = list(updates)
    number = 0
    while len(level) > 1:
        groups = [level[at : at + width] for at in range(0, len(level), width)]
        level = []
        for group in groups:
            number += 1
            level.append(summed(rule, base, group, folder / f"combiner-{number}"))
    return level[0]


@pytest.mark.parametrize("kinds", ["weights", "differences", "both"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("width", [2, 4, 8])
def test_a_tree_makes_the_model_of_the_flat_federation(
    files: tuple[Path, list[Path]], tmp_path: Path, rule: str, kinds: str, width: int
) -> None:
    base, paths = files
    chosen = {
        "weights": [UpdateKind.WEIGHTS] * 8,
        "differences": [UpdateKind.WEIGHT_DIFF] * 8,
        "both": [UpdateKind.WEIGHTS, UpdateKind.WEIGHT_DIFF] * 4,
    }[kinds]
    updates = [own(p, n, k) for p, n, k in zip(paths, SAMPLES, chosen, strict=True)]
    flat = aggregate(combination(RULES[rule], base, updates), tmp_path / "flat", durable=False)

    top = tree(RULES[rule], base, updates, tmp_path, width)
    made = aggregate(combination(RULES[rule], base, [top]), tmp_path / "tree", durable=False)

    assert made.weights == flat.weights
    assert made.sha256 == flat.sha256


def test_a_site_may_come_beside_combiners(files: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, paths = files
    updates = [own(p, n, UpdateKind.WEIGHTS) for p, n in zip(paths, SAMPLES, strict=True)]
    flat = aggregate(combination(FedAvg, base, updates), tmp_path / "flat", durable=False)
    mixed = [summed(FedAvg, base, updates[:5], tmp_path / "one"), *updates[5:]]
    made = aggregate(combination(FedAvg, base, mixed), tmp_path / "tree", durable=False)
    assert made.sha256 == flat.sha256


def test_equal_updates_make_equal_sums(files: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, paths = files
    updates = [own(path, 3.0, UpdateKind.WEIGHTS) for path in paths]
    made = [
        write_partial_sum(combination(FedAvg, base, updates), tmp_path / str(n)).sha256
        for n in range(2)
    ]
    assert made[0] == made[1]


def test_what_is_too_large_is_found_where_its_site_is_known(
    files: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    """The difference is finite, and the base and it are more than the type holds."""
    _, paths = files
    base, huge = (write(tmp_path / name, 9, scale=1e6) for name in ("base", "site-9"))
    updates = [own(path, 1.0, UpdateKind.WEIGHT_DIFF) for path in (paths[0], huge)]
    found = combination(FedAvg, base, updates)
    with pytest.raises(RunFailedError) as failed:
        write_partial_sum(found, tmp_path / "sum")
    assert failed.value.reason == "NON_FINITE"
    assert not (tmp_path / "sum").exists()
    assert set(find_overflowing(found)) == {"site-9"}


def part(path: str, samples: float = 1.0) -> Part:
    said = facts(num_samples=samples)
    return Part(path=path, weight=samples, facts=said, seconds_upload=0.1, wire_bytes=5)


def counted(client: str, *paths: str) -> CountedUpdate:
    parts = tuple(map(part, paths))
    return CountedUpdate(accepted(client, parts=parts), OnRecord(1))


@pytest.mark.parametrize(
    ("client", "parts", "twice"),
    [
        ("west", ["site-1"], "site-1"),
        ("west", ["low/site-2", "site-7"], "site-2"),
        ("site-1", [], "site-1"),
        ("west", ["site-5"], "site-5"),
    ],
)
def test_a_site_counts_once_in_a_round(client: str, parts: list[str], twice: str) -> None:
    there = [counted("east", "site-1", "deep/site-2"), counted("site-5")]
    with pytest.raises(RefusedError) as refused:
        require_counted_once(client, list(map(part, parts)), there)
    assert refused.value.reason == "COUNTED_TWICE"
    assert twice in refused.value.message


def test_whoever_sends_again_counts_not_twice() -> None:
    require_counted_once("east", [part("site-1")], [counted("east", "site-1")])
    require_counted_once("west", [part("site-3")], [counted("east", "site-1"), counted("site-2")])


def test_the_parts_of_a_sum_are_kept_and_named_by_their_way() -> None:
    update = counted("east", "site-1", "low/site-2").update
    assert UpdateFacts.from_json(update.facts.to_json()) == update.facts
    shares = shares_of([update, accepted("site-9")], [2.0, 3.0, 4.0])
    assert [(one.path, one.weight) for one in shares] == [
        ("east/site-1", 2.0),
        ("east/low/site-2", 3.0),
        ("site-9", 4.0),
    ]
