# SPDX-License-Identifier: Apache-2.0
"""What a model persistor must be: it makes the initial model and exports the final one.

It runs in a child process of the server, which itself imports no framework.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner.interfaces.network_facts import NetworkFacts


class ModelPersistor(ABC):
    """Creates, converts and exports models, always as files."""

    def setup(self, context: TrainerContext) -> None:
        """Learn where the MMAR lies and what may be done here, once, before anything is asked.

        Whoever only describes a network does without.
        """

    @abstractmethod
    def initial_model(self, destination: Path, *, seed: int) -> None:
        """Write the initial model of the declared network as safetensors.

        The same seed gives the same bytes.
        """

    def describe(self) -> NetworkFacts | None:
        """Return what the initial model will hold, without making it; None if that is not known.

        ``validate-mmar --deep`` asks. It should take neither the memory nor the time of a model.
        """
        return None

    def convert(self, checkpoint: Path, destination: Path) -> None:
        """Write a framework checkpoint as safetensors (weights only, no code).

        Raises:
            NotImplementedError: This persistor reads no checkpoint format.
        """
        raise NotImplementedError

    def export(self, model: Path, folder: Path) -> Path | None:
        """Write a safetensors model in the framework's own format into ``folder``.

        Returns:
            The file written, or None if there is nothing to export.
        """
        return None
