# SPDX-License-Identifier: Apache-2.0
"""What a model validator must be: it measures a model file on data of its own.

It runs in a child process, of the server or of a client.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmar_runner.errors import SyntheticDataError

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext


class ModelValidator(ABC):
    """Measures models."""

    def setup(self, context: TrainerContext) -> None:
        """Prepare data, once, before the first model."""

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare as `setup` does, but on made-up data of the declared shapes, for a dry run.

        Raises:
            SyntheticDataError: This validator makes no data up.
        """
        del context
        raise SyntheticDataError(
            f"{type(self).__name__} makes no data up for a dry run",
            hint="give the class a setup_synthetic; or try it on real data: mmar-runner simulate",
        )

    @abstractmethod
    def validate(self, model: Path) -> Mapping[str, float]:
        """Return metrics of a safetensors model file, by name."""

    def close(self) -> None:
        """Release what `setup` took."""
