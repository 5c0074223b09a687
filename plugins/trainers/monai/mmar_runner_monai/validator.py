# SPDX-License-Identifier: Apache-2.0
"""Measures a model with the workflow of a Clara ``config_validation.json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner_monai.engines import precision
from mmar_runner_monai.evaluation import Evaluation
from mmar_runner_monai.made_up import with_made_up_volumes
from mmar_runner_monai.parts import Parts
from mmar_runner_torch.companions import parted
from mmar_runner_torch.determinism import (
    device_named,
    seed_everything,
    use_deterministic_algorithms,
)
from mmar_runner_torch.files import read_state
from mmar_runner_torch.site_tensors import SiteTensors

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext

_log = logging.getLogger(__name__)

#: By which a validation workflow names the file of a model.
_MODEL_FILES = ("ts_path", "ckpt_path")


class MonaiModelValidator(ModelValidator):
    """Measures with ``config_validation.json``, or the section ``validate`` of the training file.

    The network is that of ``config_train.json``. Where the validation file names a TorchScript or
    checkpoint file, the model that is to be measured takes its place, which is said.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str = "auto") -> None:
        self._device = device_named(device)
        self._tensors = SiteTensors(by_name=True)

    def setup(self, context: TrainerContext) -> None:
        """Build the network, the data, the metrics and the handlers."""
        use_deterministic_algorithms()
        seed_everything(0)
        train = context.train_config.get("train") or {}
        section, where, amp = _section(context)
        if "model" not in train or not section:
            raise TaskFailedError(
                "MonaiModelValidator needs the model of config_train.json, and a validation "
                "workflow in config_validation.json or config_train.json"
            )
        _say_replaced(section.get("model"))
        parts = Parts(context, section, context.train_config)
        self._network = parts.build(ComponentKind.MODEL, train["model"]).to(self._device)
        on = precision(wanted=amp, device=self._device, where=where)
        self._evaluation = Evaluation(
            parts, section, self._network, self._device, amp=on, where=where
        )
        self._evaluation.attach_handlers()

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare to measure on made-up volumes."""
        self.setup(with_made_up_volumes(context))

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the metrics of a safetensors model file."""
        self._tensors.load_to_measure(self._network, parted(read_state(model))[0])
        seed_everything(0)
        return self._evaluation.measure(1)

    def close(self) -> None:
        """Release what handlers hold."""
        self._evaluation.close()


def _section(context: TrainerContext) -> tuple[Mapping[str, Any], str, bool]:
    """Return the validation workflow, what it is called, and whether it asks for ``amp``."""
    own, train = context.validation_config, context.train_config
    if "dataset" in own:
        return own, "config_validation.json", own.get("amp") is True
    holder = own if "validate" in own else train
    return holder.get("validate") or {}, "validate", holder.get("amp") is True


def _say_replaced(models: Any) -> None:
    listed = models if isinstance(models, list) else [models]
    for one in listed:
        if not isinstance(one, Mapping) or one.get("disabled") is True:
            continue
        for key in _MODEL_FILES:
            if key in one:
                _log.warning("'%s' is not read: the model that is measured takes its place", key)
