# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of the trainer, the validator, and the configurations that they read."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_monai.needs import TRAIN_NEEDS, VALIDATION_NEEDS
from mmar_runner_monai.workflow_schemas import TRAIN_SCHEMA, VALIDATION_SCHEMA
from mmar_runner_torch.common_schemas import (
    DEVICE,
    DROPS,
    EXCLUDE_VARS,
    LOCAL_EPOCHS,
    SEND,
    SENDS,
    TRAINER_FACTS,
    VALIDATOR_ARGS,
    steps_aggregation,
)

__all__ = [
    "CONFIG_EXTRAS",
    "PART_NAMES",
    "TRAINER_ARGS",
    "TRAINER_EXTRAS",
    "TRAIN_PARTS",
    "VALIDATION_PARTS",
    "VALIDATOR_ARGS",
]

TRAINER_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "local_epochs": LOCAL_EPOCHS,
        "steps_aggregation": steps_aggregation("Iterations"),
        "send": SEND,
        "device": DEVICE,
        "exclude_vars": EXCLUDE_VARS,
        "amp": {
            "description": "Mixed precision on CUDA; null for what 'amp' of config_train.json "
            "says. A CPU computes in full precision whatever is said.",
            "type": ["boolean", "null"],
            "default": None,
        },
        "model_reader_writer": {
            "description": "Of older archives, without effect here: tensors go by their names.",
            "type": ["object", "null"],
            "default": None,
        },
    },
}

#: Where parts stand in a workflow section, and of what kind each is.
_SECTION: Final[dict[str, str]] = {
    "pre_transforms/*": "transform",
    "dataset": "dataset",
    "dataloader": "dataloader",
    "inferer": "inferer",
    "handlers/*": "engine_handler",
    "post_transforms/*": "transform",
    "metrics/*": "metric",
}
_TRAIN: Final[dict[str, str]] = {
    "loss": "loss",
    "optimizer": "optimizer",
    "lr_scheduler": "lr_scheduler",
    "model": "model",
    **_SECTION,
    "trainer": "engine",
}
_VALIDATE: Final[dict[str, str]] = {**_SECTION, "evaluator": "engine"}

TRAIN_PARTS: Final[dict[str, str]] = {
    **{f"/train/{where}": kind for where, kind in _TRAIN.items()},
    **{f"/validate/{where}": kind for where, kind in _VALIDATE.items()},
}
VALIDATION_PARTS: Final[dict[str, str]] = {
    **{f"/{where}": kind for where, kind in _VALIDATE.items()},
    **{f"/validate/{where}": kind for where, kind in _VALIDATE.items()},
}

#: Names by which archives call parts that are registered under another one, by kind.
PART_NAMES: Final[dict[str, dict[str, str]]] = {"metric": {"Accuracy": "IgniteAccuracy"}}

#: Told to the MMAR validator: where parts stand, by JSON pointer, and what is allowed.
CONFIG_EXTRAS: Final[dict[str, Any]] = {
    "train_parts": TRAIN_PARTS,
    "train_needs": TRAIN_NEEDS,
    "train_schema": TRAIN_SCHEMA,
    "validation_parts": VALIDATION_PARTS,
    "validation_needs": VALIDATION_NEEDS,
    "validation_schema": VALIDATION_SCHEMA,
    "part_names": PART_NAMES,
    "measures": {
        "parts": ["/validate/metrics/*", "/metrics/*"],
        "prefix": "val_",
        "label": "log_label",
        "key": "is_key_metric",
    },
}

TRAINER_EXTRAS: Final[dict[str, Any]] = {
    **CONFIG_EXTRAS,
    **TRAINER_FACTS,
    "tags": [*SENDS, DROPS],
    "memory": "the network, its gradients and the optimizer's state, besides what the data set "
    "caches",
}
