# SPDX-License-Identifier: Apache-2.0
"""The best model that a site has trained itself, kept for cross-site validation.

It lies in the trainer's folder, which is of one client and run, and outlives the process.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mmar_runner.storage.atomic import publish, write_json_atomic
from mmar_runner_torch.files import read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner_torch.files import State

_MODEL: Final = "best_local.safetensors"
_METRICS: Final = "best_local.json"


class BestLocal:
    """Keeps one model: the one with the best score so far.

    The score is the first metric that is no loss, larger being better; if there are only losses,
    the first of them, smaller being better; without metrics the newest model is the best.

    Args:
        folder: The trainer's.
    """

    def __init__(self, folder: Path) -> None:
        self._model = folder / _MODEL
        self._metrics = folder / _METRICS

    def consider(self, state: State, metrics: Mapping[str, float]) -> None:
        """Keep a model if none is better.

        Args:
            state: Its tensors: those of the global model.
            metrics: What it is worth on this site's held-out data.

        Raises:
            StorageError: It cannot be written.
        """
        before = self._known()
        if before is not None and _score(metrics) < _score(before):
            return
        partial = self._model.with_suffix(".part")
        write_state(partial, state)
        # The model first: one that is killed in between keeps a good model with older numbers.
        publish(partial, self._model, durable=False)
        write_json_atomic(self._metrics, dict(metrics))

    def write(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model; return its metrics, or None if there is none.

        Raises:
            StorageError: It cannot be read or written.
        """
        metrics = self._known()
        if metrics is None:
            return None
        write_state(destination, read_state(self._model))
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
