# SPDX-License-Identifier: Apache-2.0
"""Begins a run with a checkpoint of PyTorch whose network nobody declares as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mmar_runner.errors import FormatError
from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner_torch.companions import parted
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.persistor import weights_of

if TYPE_CHECKING:
    from pathlib import Path


class PTCheckpointPersistor(ModelPersistor):
    """Takes every tensor that a checkpoint holds; it makes no network, and no first model."""

    def initial_model(self, destination: Path, *, seed: int) -> None:
        """Refuse: there is no network.

        Raises:
            FormatError: Always.
        """
        del destination, seed
        raise FormatError(
            "nothing declares the network, so a run begins with a checkpoint",
            hint='name it as "ckpt_preload_path" in config_fed_server.json',
        )

    def convert(self, checkpoint: Path, destination: Path) -> None:
        """Write the tensors of a checkpoint that `torch.save` made; never objects are read.

        Raises:
            FormatError: It is no such file, or holds no weights.
        """
        write_state(destination, dict(weights_of(checkpoint)))

    def export(self, model: Path, folder: Path) -> Path:
        """Write ``final_model.pt``, a state_dict for ``torch.load(weights_only=True)``."""
        file = folder / "final_model.pt"
        torch.save(parted(read_state(model))[0], file)
        return file
