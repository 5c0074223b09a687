# SPDX-License-Identifier: Apache-2.0
"""Measures a model file on a server's or a site's own data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner_torch.companions import parted
from mmar_runner_torch.determinism import (
    device_named,
    seed_everything,
    use_deterministic_algorithms,
)
from mmar_runner_torch.files import read_state
from mmar_runner_torch.measuring import Measuring
from mmar_runner_torch.network import load_shared
from mmar_runner_torch.synthetic import with_synthetic_data

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext


class TorchModelValidator(ModelValidator):
    """Measures with the ``validate`` section of ``config_validation.json``.

    The model and the loss are those of ``config_train.json``; so is the section, if
    there is no ``config_validation.json``.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str = "auto") -> None:
        self._device = device_named(device)

    def setup(self, context: TrainerContext) -> None:
        """Build the network, the data and the metrics."""
        use_deterministic_algorithms()
        seed_everything(0)
        train = context.train_config.get("train")
        validate = (context.validation_config or context.train_config).get("validate")
        if not train or not validate:
            raise TaskFailedError(
                "TorchModelValidator needs the model of config_train.json and a 'validate' section"
            )
        network = context.blueprint(ComponentKind.MODEL, train["model"]).build()
        self._network = network.to(self._device)
        self._measuring = Measuring(context, validate, train.get("loss"))

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare to measure on made-up data."""
        self.setup(with_synthetic_data(context))

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the metrics of a safetensors model file."""
        load_shared(self._network, parted(read_state(model))[0])
        self._network.eval()
        return self._measuring.measure(self._network, self._device)
