# SPDX-License-Identifier: Apache-2.0
"""The best model that a site's commands have made, kept for cross-site validation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from mmar_runner.storage.atomic import publish, translated, write_json_atomic


class BestModel:
    """Keeps one model: the one with the best score so far.

    The score is the first metric that is no loss, larger being better; if there are only losses,
    the first of them, smaller being better; without metrics the newest model is the best.

    Args:
        folder: Where it is kept, from one process to the next.
    """

    def __init__(self, folder: Path) -> None:
        self._model = folder / "entry_points_best.safetensors"
        self._metrics = folder / "entry_points_best.json"

    def consider(self, model: Path, metrics: Mapping[str, float]) -> None:
        """Keep a model if none is better.

        Raises:
            StorageError: It cannot be written.
        """
        before = self._known()
        if before is not None and _score(metrics) < _score(before):
            return
        partial = self._model.with_suffix(".part")
        with translated(partial):
            shutil.copyfile(model, partial)
        # The model first: one that is killed in between keeps a good model with older numbers.
        publish(partial, self._model, durable=False)
        write_json_atomic(self._metrics, dict(metrics))

    def write(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model; return its metrics, or None if there is none.

        Raises:
            StorageError: It cannot be read or written.
        """
        metrics = self._known()
        if metrics is not None:
            with translated(destination):
                shutil.copyfile(self._model, destination)
        return metrics

    def _known(self) -> dict[str, float] | None:
        if not self._metrics.is_file() or not self._model.is_file():
            return None
        known: dict[str, float] = json.loads(self._metrics.read_bytes())
        return known


def _score(metrics: Mapping[str, float]) -> float:
    better = next((value for name, value in metrics.items() if "loss" not in name), None)
    loss = next(iter(metrics.values()), 0.0)
    return -loss if better is None else better
