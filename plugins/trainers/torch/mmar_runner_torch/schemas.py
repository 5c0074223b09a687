# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of this plugin's components and of the configurations they read."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_torch.common_schemas import (
    COMMENTS,
    DROPS,
    EPOCHS,
    EXCLUDE_VARS,
    NO_EFFECT,
    PART,
    SENDS,
    TRAINER_FACTS,
    VALIDATOR_ARGS,
    VARIABLE,
    part,
)
from mmar_runner_torch.trainer_args import TRAINER_ARGS

PERSISTOR_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["model"],
    "properties": {
        "model": {"description": "The network.", "type": "object", "x-component": "model"},
        "exclude_vars": {
            **EXCLUDE_VARS,
            "description": "Regular expression of tensor names that are not shared: the federation "
            "never sees them, and every site keeps its own.",
        },
    },
}

_METRIC: Final[dict[str, Any]] = part(
    log_label={
        "description": "The name it is reported under, in place of val_NAME.",
        "type": "string",
        "minLength": 1,
    },
    is_key_metric={
        "description": "Chooses the best model, unless the server's handler names a metric.",
        "type": "boolean",
    },
)

#: What torch's DataLoader takes of what JSON can say; any other argument would end a task.
_DATALOADER: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"const": "DataLoader"},
        "args": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "batch_size": {"type": "integer", "minimum": 1},
                "shuffle": {"type": "boolean"},
                "drop_last": {"type": "boolean"},
                "num_workers": {"type": "integer", "minimum": 0, "maximum": 64},
                "pin_memory": {"type": "boolean"},
                "timeout": {"type": "number", "minimum": 0},
                "prefetch_factor": {"type": ["integer", "null"], "minimum": 1},
                "persistent_workers": {"type": "boolean"},
            },
        },
    },
}

_VALIDATE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["dataset"],
    "additionalProperties": False,
    "properties": {
        "dataset": PART,
        "dataloader": _DATALOADER,
        "metrics": {"type": "array", "items": _METRIC},
    },
}

#: What `TorchTrainer` reads of config_train.json; other keys are variables.
TRAIN_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["train"],
    "properties": {
        "train": {
            "type": "object",
            "required": ["model", "loss", "optimizer", "dataset"],
            "additionalProperties": False,
            "properties": {
                "model": PART,
                "loss": PART,
                "optimizer": PART,
                "lr_scheduler": PART,
                "dataset": PART,
                "dataloader": _DATALOADER,
            },
        },
        "validate": _VALIDATE,
        "determinism": {"type": "object"},
        "epochs": EPOCHS,
        "multi_gpu": {
            "description": "Whether it trains on all accelerators of a site, if nobody says how "
            "many processes there are to be.",
            "type": "boolean",
        },
        "amp": {
            "description": "Whether to train in mixed precision; the trainer's own argument is "
            "stronger.",
            "type": "boolean",
        },
        **NO_EFFECT,
    },
    "patternProperties": COMMENTS,
    "additionalProperties": {
        "type": VARIABLE,
        "x-known": ["train", "validate", "determinism"],
    },
}

#: What `TorchModelValidator` reads of config_validation.json.
VALIDATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["validate"],
    "properties": {"validate": _VALIDATE},
    "patternProperties": COMMENTS,
    "additionalProperties": {
        "type": VARIABLE,
        "x-known": ["validate"],
    },
}

__all__ = [
    "CONFIG_EXTRAS",
    "PERSISTOR_ARGS",
    "TRAINER_ARGS",
    "TRAINER_EXTRAS",
    "TRAIN_SCHEMA",
    "VALIDATION_SCHEMA",
    "VALIDATOR_ARGS",
]

#: Told to the MMAR validator: where parts stand, by JSON pointer, and what is allowed.
CONFIG_EXTRAS: Final[dict[str, Any]] = {
    "train_parts": {
        "/train/model": "model",
        "/train/loss": "loss",
        "/train/optimizer": "optimizer",
        "/train/lr_scheduler": "lr_scheduler",
        "/train/dataset": "dataset",
        "/validate/dataset": "dataset",
        "/validate/metrics/*": "metric",
    },
    "train_schema": TRAIN_SCHEMA,
    "validation_parts": {
        "/validate/dataset": "dataset",
        "/validate/metrics/*": "metric",
    },
    "validation_schema": VALIDATION_SCHEMA,
    "measures": {
        "parts": "/validate/metrics/*",
        "prefix": "val_",
        "label": "log_label",
        "key": "is_key_metric",
        "always": {"val_loss": "/train/loss"},
    },
}

#: What the trainer states besides: which kind of update it sends is an argument.
TRAINER_EXTRAS: Final[dict[str, Any]] = {
    **CONFIG_EXTRAS,
    **TRAINER_FACTS,
    "tags": [
        *SENDS,
        {"tag": "sends_control_variates", "if": "algorithm", "is": "scaffold"},
        DROPS,
        {"tag": "adds_noise", "if": "dp"},
    ],
    "paper": "FedProx: Li et al. 2020, arXiv:1812.06127. FedBN: Li et al. 2021, "
    "arXiv:2102.07623. SCAFFOLD: Karimireddy et al. 2020, arXiv:1910.06378. "
    "DP-SGD: Abadi et al. 2016, arXiv:1607.00133.",
    "memory": "the network, its gradients and the optimizer's state; with fedprox_mu once, with "
    "scaffold four times the weights more; with dp every gradient once a sample of a batch",
}
