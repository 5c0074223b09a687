# SPDX-License-Identifier: Apache-2.0
"""Reads the golden vectors, and replays their ten rounds through the real aggregation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.contracts.combining import context
from tests.golden.make_golden import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator

#: How far a published value may be from the expected, as a share of its tensor's largest.
TOLERANCE = 1e-6

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Vectors:
    """What `make_golden` stored.

    Attributes:
        shapes: Of the tensors, by name; whole models are their elements one after another.
        arguments: Of every rule, by its name.
        base: The first model, ``[elements]``.
        differences: ``[rounds, clients, elements]``, float32.
        samples: ``[clients]``.
        expected: The published models of a rule, ``[rounds, elements]``, float32.
    """

    shapes: Mapping[str, tuple[int, ...]]
    arguments: Mapping[str, Mapping[str, Any]]
    base: Array
    differences: Array
    samples: Array
    expected: Mapping[str, Array]

    def tensors(self, model: Array) -> Iterator[tuple[str, Array]]:
        """Yield a whole model's tensors by name."""
        start = 0
        for name, shape in self.shapes.items():
            count = int(np.prod(shape))
            yield name, model[start : start + count]
            start += count


def read() -> Vectors:
    """Return the stored vectors."""
    with np.load(VECTORS, allow_pickle=False) as stored:
        said = json.loads(stored["said"].tobytes())
        return Vectors(
            shapes={name: tuple(shape) for name, shape in said["shapes"].items()},
            arguments=said["arguments"],
            base=stored["base"],
            differences=stored["differences"],
            samples=stored["samples"],
            expected={rule: stored[f"expected/{rule}"] for rule in said["arguments"]},
        )


def hold(aggregator: TensorwiseAggregator, rule: str, folder: Path, kind: UpdateKind) -> None:
    """Run ten rounds over files, and compare every published model with the golden one.

    Args:
        aggregator: Made with ``read().arguments[rule]``.
        rule: Its name in the vectors.
        folder: Where files go.
        kind: What clients send.
    """
    vectors = read()
    base, state = _write(folder / "round_0", vectors, vectors.base), None
    for number, differences in enumerate(vectors.differences):
        updates = _updates(folder, vectors, differences, kind, base)
        combination = Combination(aggregator, base, updates, context(number), state=state)
        base, kept = (folder / f"{what}_{number + 1}" for what in ("round", "state"))
        made = aggregate(combination, base, durable=False, state=kept)
        state = kept if made.state_sha256 else None
        _compare(base, vectors, vectors.expected[rule][number], f"{rule}, round {number}")


def _updates(
    folder: Path, vectors: Vectors, differences: Array, kind: UpdateKind, base: Path
) -> list[Update]:
    updates = []
    for client, difference in enumerate(differences):
        sent = difference
        if kind is UpdateKind.WEIGHTS:
            sent = (_read(base, vectors).astype(np.float64) + difference).astype(np.float32)
        path = _write(folder / f"site_{client}", vectors, sent)
        said = Contribution(f"site-{client:02}", float(vectors.samples[client]), kind)
        updates.append(Update(said, partial(TensorReader, path)))
    return updates


def _compare(path: Path, vectors: Vectors, expected: Array, what: str) -> None:
    got = dict(vectors.tensors(_read(path, vectors)))
    for name, tensor in vectors.tensors(expected):
        room = TOLERANCE * np.abs(tensor).max()
        error = np.abs(got[name].astype(np.float64) - tensor).max()
        assert error <= room, f"{what}: {name} is {error:.3g} off; {room:.3g} is allowed"


def _write(path: Path, vectors: Vectors, model: Array) -> Path:
    listed = [(name, "F32", shape) for name, shape in vectors.shapes.items()]
    with TensorWriter(path, listed) as writer:
        for name, tensor in vectors.tensors(model):
            writer.write(name, tensor)
        writer.commit()
    return path


def _read(path: Path, vectors: Vectors) -> Array:
    with TensorReader(path) as reader:
        return np.concatenate([reader.read(name).reshape(-1) for name in vectors.shapes])
