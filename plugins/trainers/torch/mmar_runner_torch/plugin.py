# SPDX-License-Identifier: Apache-2.0
"""What this distribution registers; what its parts take stands in modules of their own."""

from __future__ import annotations

from typing import Any

from mmar_runner.hooks import hookimpl
from mmar_runner_torch import schemas
from mmar_runner_torch.parts_facts import FITS, TOGETHER, UNFIT
from mmar_runner_torch.parts_table import PARTS, PREFIXES


@hookimpl
def mmar_register_components(registry: Any) -> None:
    """Register the trainer, the persistor, the validator, and the parts they are made of."""
    registry.add(
        kind="client_trainer",
        name="TorchTrainer",
        target="mmar_runner_torch.trainer:TorchTrainer",
        args_schema=schemas.TRAINER_ARGS,
        summary="Trains the PyTorch model that config_train.json declares.",
        extras=schemas.TRAINER_EXTRAS,
    )
    registry.add(
        kind="model_persistor",
        name="PTFileModelPersistor",
        target="mmar_runner_torch.persistor:PTFileModelPersistor",
        args_schema=schemas.PERSISTOR_ARGS,
        aliases=("TFModelSaver", "PTModelSaver"),
        summary="Makes the initial PyTorch model, reads .pt checkpoints, exports final_model.pt.",
        extras={"leaves_out": "exclude_vars"},
    )
    registry.add(
        kind="model_validator",
        name="TorchModelValidator",
        target="mmar_runner_torch.validator:TorchModelValidator",
        args_schema=schemas.VALIDATOR_ARGS,
        summary="Measures a PyTorch model with the metrics of the validation configuration.",
        extras=schemas.CONFIG_EXTRAS,
    )
    for kind, name, target, properties, required, summary in PARTS:
        schema = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
            **TOGETHER.get(name, {}),
        }
        registry.add(
            kind=kind,
            name=name,
            target=target,
            args_schema=schema,
            summary=summary,
            extras=FITS.get(name, {}),
        )
    for kind, prefix in PREFIXES:
        registry.add(
            kind=kind,
            name=prefix,
            path_prefix=True,
            summary=f"Any class under {prefix[:-1]}, named by its path.",
            extras={"unfit": UNFIT.get(kind, {})},
        )
