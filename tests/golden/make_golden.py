# SPDX-License-Identifier: Apache-2.0
"""Makes ``vectors.npz``: ten rounds of every rule, worked out from its paper's formulas.

    python tests/golden/make_golden.py

Nothing of mmar_runner is imported: what the rules are held to is written here a second time,
as the papers write it, in float64 and with whole models in memory. After each round the model
is rounded to float32, as a published model is. The differences of each client in each round are
drawn once and stored with the results: they depend on no model, so a rule that errs in one round
does not hide it in the next.

Clients: 11, of which the last two send what eight times their direction turned round would be.
Rules that weigh do so by `samples`; the robust ones count every client once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

VECTORS: Final = Path(__file__).with_name("vectors.npz")
ROUNDS: Final = 10
CLIENTS: Final = 11
FAULTY: Final = 2
SHAPES: Final = {"conv.weight": (3, 2, 5), "fc.bias": (7,), "scale": ()}

Array = np.ndarray[Any, np.dtype[Any]]
#: Differences ``[clients, elements]`` of a round and numbers of samples, to what is added.
Step = Callable[[Array, Array], Array]


# Means and server optimizers: D is the mean difference, weighted by samples


def mean(differences: Array, samples: Array) -> Array:
    """McMahan et al., 2017: the sum over k of n_k / n times the difference of k."""
    return (samples / samples.sum()) @ differences


def momentum_step(server_learning_rate: float, momentum: float) -> Step:
    """Hsu et al., 2019: v = beta v + D, and the model moves by v."""
    v: Any = 0.0

    def step(differences: Array, samples: Array) -> Array:
        nonlocal v
        v = momentum * v + mean(differences, samples)
        return server_learning_rate * v

    return step


def adaptive_step(
    kind: str, server_learning_rate: float, beta1: float, tau: float, beta2: float = 0.0
) -> Step:
    """Reddi et al., 2020, algorithm 2; m begins with 0 and v with tau squared."""
    m: Any = 0.0
    v: Any = tau**2

    def step(differences: Array, samples: Array) -> Array:
        nonlocal m, v
        delta = mean(differences, samples)
        m = beta1 * m + (1 - beta1) * delta
        if kind == "adagrad":
            v = v + delta**2
        elif kind == "yogi":
            v = v - (1 - beta2) * delta**2 * np.sign(v - delta**2)
        else:
            v = beta2 * v + (1 - beta2) * delta**2
        return server_learning_rate * m / (np.sqrt(v) + tau)

    return step


# Robust rules


def median(differences: Array, _samples: Array) -> Array:
    """Yin et al., 2018, definition 1: the usual one-dimensional median of each coordinate."""
    ordered = np.sort(differences, axis=0)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def trimmed_mean(num_malicious: int) -> Step:
    """Yin et al., 2018, definition 2: each coordinate without its largest and smallest."""

    def step(differences: Array, _samples: Array) -> Array:
        ordered = np.sort(differences, axis=0)
        return ordered[num_malicious : len(ordered) - num_malicious].mean(axis=0)

    return step


def scores(vectors: Array, num_malicious: int) -> list[float]:
    """Blanchard et al., 2017: the sum of squared distances to the n - f - 2 closest others."""
    n = len(vectors)
    found = []
    for i in range(n):
        distances = sorted(
            float(((vectors[i] - vectors[j]) ** 2).sum()) for j in range(n) if j != i
        )
        found.append(sum(distances[: max(1, n - num_malicious - 2)]))
    return found


def krum(num_malicious: int) -> Step:
    """Blanchard et al., 2017: the vector with the smallest score."""

    def step(differences: Array, _samples: Array) -> Array:
        return differences[int(np.argmin(scores(differences, num_malicious)))]

    return step


def multi_krum(num_malicious: int, num_selected: int) -> Step:
    """Blanchard et al., 2017: the mean of the m vectors with the smallest scores."""

    def step(differences: Array, _samples: Array) -> Array:
        order = np.argsort(scores(differences, num_malicious), kind="stable")
        return differences[order[:num_selected]].mean(axis=0)

    return step


def bulyan(num_malicious: int) -> Step:
    """El Mhamdi et al., 2018: theta = n - 2f by Krum, then beta = theta - 2f around the median."""

    def step(differences: Array, _samples: Array) -> Array:
        left, chosen = list(range(len(differences))), []
        theta = len(differences) - 2 * num_malicious
        while len(chosen) < theta:
            best = (
                left[int(np.argmin(scores(differences[left], num_malicious)))]
                if left[1:]
                else left[0]
            )
            chosen.append(best)
            left.remove(best)
        selected, beta = differences[chosen], theta - 2 * num_malicious
        middle = median(selected, _samples)
        result = np.empty(selected.shape[1])
        for column in range(selected.shape[1]):
            values = np.sort(selected[:, column])
            closest = np.argsort(np.abs(values - middle[column]), kind="stable")[:beta]
            result[column] = values[closest].mean()
        return result

    return step


#: Every rule's arguments, and what makes its step of them.
RULES: Final[dict[str, tuple[dict[str, Any], Callable[..., Step]]]] = {
    "FedAvg": ({}, lambda: mean),
    "FedAvgM": ({"server_learning_rate": 0.7, "momentum": 0.9}, momentum_step),
    "FedAdagrad": (
        {"server_learning_rate": 0.05, "beta1": 0.5, "tau": 0.01},
        lambda **args: adaptive_step("adagrad", **args),
    ),
    "FedYogi": (
        {"server_learning_rate": 0.03, "beta1": 0.9, "beta2": 0.99, "tau": 0.001},
        lambda **args: adaptive_step("yogi", **args),
    ),
    "FedAdam": (
        {"server_learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "tau": 0.001},
        lambda **args: adaptive_step("adam", **args),
    ),
    "Median": ({}, lambda: median),
    "TrimmedMean": ({"num_malicious": 2}, trimmed_mean),
    "Krum": ({"num_malicious": 2}, krum),
    "MultiKrum": ({"num_malicious": 2, "num_selected": 6}, multi_krum),
    "Bulyan": ({"num_malicious": 2}, bulyan),
}


def drawn() -> tuple[Array, Array, Array]:
    """Return the first model, all differences ``[rounds, clients, elements]``, and samples."""
    random = np.random.default_rng(20180703)
    elements = sum(int(np.prod(shape)) for shape in SHAPES.values())
    base = random.normal(size=elements).astype(np.float32)
    common = random.normal(size=(ROUNDS, 1, elements)) * 0.1
    own = random.normal(size=(ROUNDS, CLIENTS, elements)) * 0.1
    differences = common + own
    differences[:, -FAULTY:] *= -8.0
    samples = random.integers(20, 200, size=CLIENTS).astype(np.float64)
    return base, differences.astype(np.float32), samples


def rounds(step: Step, base: Array, differences: Array, samples: Array) -> Array:
    """Return the published models, ``[rounds, elements]``."""
    model, published = base, []
    for sent in differences:
        moved = model.astype(np.float64) + step(sent.astype(np.float64), samples)
        model = moved.astype(np.float32)
        published.append(model)
    return np.stack(published)


def main() -> None:
    """Write the file."""
    base, differences, samples = drawn()
    results = {
        f"expected/{rule}": rounds(make(**arguments), base, differences, samples)
        for rule, (arguments, make) in RULES.items()
    }
    said = {
        "shapes": {name: list(shape) for name, shape in SHAPES.items()},
        "arguments": {rule: arguments for rule, (arguments, _) in RULES.items()},
    }
    text = np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)
    np.savez_compressed(
        VECTORS, base=base, differences=differences, samples=samples, said=text, **results
    )


if __name__ == "__main__":
    main()
