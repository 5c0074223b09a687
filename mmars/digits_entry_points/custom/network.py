# SPDX-License-Identifier: Apache-2.0
"""A network of two layers in numpy, and how it learns: a framework of forty lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]
Pixels = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_HIDDEN = 32
_BATCH = 32
_RATE = 0.1


def initial(seed: int) -> Weights:
    """Return weights of a network that has learned nothing; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return {
        "hidden.weight": np.float32(rng.normal(0, 0.2, (64, _HIDDEN))),
        "hidden.bias": np.zeros(_HIDDEN, np.float32),
        "output.weight": np.float32(rng.normal(0, 0.2, (_HIDDEN, 10))),
        "output.bias": np.zeros(10, np.float32),
    }


def train(weights: Weights, x: Pixels, y: Labels, *, epochs: int, seed: int) -> float:
    """Train the weights in place by stochastic gradient descent; return the last mean loss."""
    rng, loss = np.random.default_rng(seed), 0.0
    for _ in range(epochs):
        batches = np.array_split(rng.permutation(len(x)), max(len(x) // _BATCH, 1))
        loss = float(np.mean([_step(weights, x[batch], y[batch]) for batch in batches]))
    return loss


def accuracy_and_loss(weights: Weights, x: Pixels, y: Labels) -> tuple[float, float]:
    """Return the share of right answers, 0 to 1, and the mean cross-entropy."""
    _, chances = _forward(weights, x)
    loss = -np.log(chances[np.arange(len(y)), y] + 1e-9).mean()
    return float((chances.argmax(1) == y).mean()), float(loss)


def _forward(weights: Weights, x: Pixels) -> tuple[Pixels, Pixels]:
    hidden = np.maximum(x @ weights["hidden.weight"] + weights["hidden.bias"], 0)
    scores = hidden @ weights["output.weight"] + weights["output.bias"]
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return hidden, powers / powers.sum(1, keepdims=True)


def _step(weights: Weights, x: Pixels, y: Labels) -> float:
    hidden, chances = _forward(weights, x)
    loss = -np.log(chances[np.arange(len(y)), y] + 1e-9).mean()
    error = chances.copy()
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    back = (error @ weights["output.weight"].T) * (hidden > 0)
    for name, gradient in (
        ("output.weight", hidden.T @ error),
        ("output.bias", error.sum(0)),
        ("hidden.weight", x.T @ back),
        ("hidden.bias", back.sum(0)),
    ):
        weights[name] -= _RATE * np.float32(gradient)
    return float(loss)
