# SPDX-License-Identifier: Apache-2.0
"""The best model that a site has made itself, kept for cross-site validation.

It lies in the trainer's folder, which is of one client and run, and outlives the process.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mmar_runner.storage.atomic import publish, write_json_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class BestModel:
    """Keeps one model: the one with the best score so far.

    The score is the first metric that is no loss, larger being better; if there are only losses,
    the first of them, smaller being better; without metrics the newest model is the best.

    Args:
        folder: The trainer's.
        name: Of its two files there, without the ending.

    Attributes:
        path: Where the model lies, once there is one.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.safetensors"
        self._metrics = folder / f"{name}.json"

    def consider(self, metrics: Mapping[str, float], write: Callable[[Path], object]) -> None:
        """Keep a model if none is better.

        Args:
            metrics: What it is worth on this site's held-out data.
            write: Writes the model to a path.

        Raises:
            StorageError: It cannot be written.
        """
        before = self.metrics()
        if before is not None and _score(metrics) < _score(before):
            return
        partial = self.path.with_suffix(".part")
        write(partial)
        # The model first: one that is killed in between keeps a good model with older numbers.
        publish(partial, self.path, durable=False)
        write_json_atomic(self._metrics, dict(metrics))

    def metrics(self) -> dict[str, float] | None:
        """Return what the model is worth; None if there is none."""
        if not self._metrics.is_file() or not self.path.is_file():
            return None
        known: dict[str, float] = json.loads(self._metrics.read_bytes())
        return known


def _score(metrics: Mapping[str, float]) -> float:
    better = next((value for name, value in metrics.items() if "loss" not in name), None)
    loss = next(iter(metrics.values()), 0.0)
    return -loss if better is None else better
