# SPDX-License-Identifier: Apache-2.0
"""What this distribution registers: data only, nothing is imported that takes time."""

from __future__ import annotations

from typing import Any

from mmar_runner.hooks import hookimpl
from mmar_runner_monai import schemas
from mmar_runner_monai.algo import facts
from mmar_runner_monai.names import register_names


@hookimpl
def mmar_register_components(registry: Any) -> None:
    """Register trainers, validator, and what they are made of."""
    registry.add(
        kind="client_trainer",
        name="MonaiTrainer",
        target="mmar_runner_monai.trainer:MonaiTrainer",
        args_schema=schemas.TRAINER_ARGS,
        aliases=(
            "ClientTrainer",
            "FederatedLearner",
            "medl.apps.fed_learn.trainers.client_trainer.ClientTrainer",
            "medl.apps.fed_learn.client_trainer.ClientTrainer",
        ),
        summary="Trains the MONAI workflow that a Clara config_train.json declares.",
        extras=schemas.TRAINER_EXTRAS,
    )
    registry.add(
        kind="model_validator",
        name="MonaiModelValidator",
        target="mmar_runner_monai.validator:MonaiModelValidator",
        args_schema=schemas.VALIDATOR_ARGS,
        aliases=(
            "ClientValidator",
            "TFModelValidator",
            "medl.apps.fed_learn.validators.client_validator.ClientValidator",
        ),
        summary="Measures a model with the MONAI workflow of config_validation.json.",
        extras=schemas.CONFIG_EXTRAS,
    )
    facts.register(registry)
    register_names(registry)
