# SPDX-License-Identifier: Apache-2.0
"""The best model that a site has trained itself, as tensors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mmar_runner.storage.best_model import BestModel
from mmar_runner_torch.files import read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner_torch.files import State


class BestLocal:
    """Keeps the state of the best model so far: see `BestModel`.

    Args:
        folder: The trainer's.
    """

    def __init__(self, folder: Path) -> None:
        self._kept = BestModel(folder, "best_local")

    def consider(self, state: State, metrics: Mapping[str, float]) -> None:
        """Keep a model if none is better.

        Args:
            state: Its tensors: those of the global model.
            metrics: What it is worth on this site's held-out data.

        Raises:
            StorageError: It cannot be written.
        """
        self._kept.consider(metrics, partial(write_state, state=state))

    def write(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model; return its metrics, or None if there is none.

        Raises:
            StorageError: It cannot be read or written.
        """
        metrics = self._kept.metrics()
        if metrics is None:
            return None
        write_state(destination, read_state(self._kept.path))
        return metrics
