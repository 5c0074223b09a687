# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of the trainer, the validator, and the configurations that they read."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_monai.needs import TRAIN_NEEDS, VALIDATION_NEEDS
from mmar_runner_monai.workflow_schemas import TRAIN_SCHEMA, VALIDATION_SCHEMA

DEVICE: Final[dict[str, Any]] = {
    "description": "Where to compute; auto takes a GPU if there is one.",
    "enum": ["auto", "cpu", "cuda"],
    "default": "auto",
}

TRAINER_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "local_epochs": {
            "description": "Passes over the site's data in a round.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000,
            "default": 1,
        },
        "steps_aggregation": {
            "description": "Iterations in a round; if positive, it goes before local_epochs.",
            "type": "integer",
            "minimum": 0,
            "maximum": 2**31 - 1,
            "default": 0,
        },
        "send": {
            "description": "Whether the update holds weights or differences to the round's model.",
            "enum": ["weights", "weight_diff"],
            "default": "weights",
        },
        "device": DEVICE,
        "exclude_vars": {
            "description": "Regular expression of tensor names that a site neither takes from the "
            'global model, once it has its own, nor sends; "dummy" excludes nothing.',
            "type": ["string", "null"],
            "format": "regex",
            "maxLength": 1000,
            "default": None,
        },
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

VALIDATOR_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"device": DEVICE},
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
    "produces": {"argument": "send"},
    "parallel": {"launcher": "mmar_runner_torch.launch", "own_code": True},
    "tags": [
        {"tag": "sends_differences", "if": "send", "is": "weight_diff"},
        {"tag": "sends_weights", "if": "send", "is": "weights"},
        {"tag": "drops_tensors", "if": "exclude_vars"},
    ],
    "memory": "the network, its gradients and the optimizer's state, besides what the data set "
    "caches",
}
