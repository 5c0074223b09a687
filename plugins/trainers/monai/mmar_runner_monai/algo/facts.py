# SPDX-License-Identifier: Apache-2.0
"""What is registered for algorithms of MONAI's federated interface, as data."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_monai.bundle.callables import BUNDLE_FACT

#: Below it MONAI's own algorithms may be named by their path.
PREFIX: Final = "monai.fl.client."

_FILES: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        {"type": "null"},
    ]
}

TRAINER_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["algo"],
    "properties": {
        "algo": {
            "description": "The algorithm: MonaiAlgo, or a class of the MMAR's own that is a "
            "ClientAlgo.",
            "type": "object",
            "x-component": "client_algo",
        },
        "send": {
            "description": "Whether updates hold the new weights or what changed, whichever the "
            "algorithm returns.",
            "enum": ["weights", "weight_diff"],
            "default": "weights",
        },
        "tensors": {
            "description": "What the algorithm is given: tensors of PyTorch, or arrays of numpy.",
            "enum": ["torch", "numpy"],
            "default": "torch",
        },
        "evaluate": {
            "description": "Whether it is asked for the metrics of received models.",
            "type": "boolean",
            "default": True,
        },
        "num_samples": {
            "description": "The weight of an update; by default the iterations that the "
            "algorithm says it executed, or 1.",
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "maximum": 1e15,
            "default": None,
        },
    },
}

TRAINER_EXTRAS: Final[dict[str, Any]] = {
    "produces": {"argument": "send"},
    "tags": [
        {"tag": "sends_differences", "if": "send", "is": "weight_diff"},
        {"tag": "sends_weights", "if": "send", "is": "weights"},
    ],
    "memory": "what the algorithm takes, and the model twice",
}

ALGO_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["bundle_root"],
    "properties": {
        "bundle_root": {
            "description": "The bundle's folder in the MMAR.",
            "type": "string",
            "minLength": 1,
        },
        "local_epochs": {
            "description": "Epochs of a round.",
            "type": "integer",
            "minimum": 1,
            "default": 1,
        },
        "send_weight_diff": {
            "description": "Whether the algorithm itself computes differences.",
            "type": "boolean",
            "default": True,
        },
        "config_train_filename": {
            "description": "The training configuration, in the bundle.",
            "default": "configs/train.json",
            **_FILES,
        },
        "train_kwargs": {
            "description": "Values in place of those of the training configuration, by id.",
            "type": ["object", "null"],
            "default": None,
        },
        "config_evaluate_filename": {
            "description": "The configuration for evaluation; null for none.",
            "default": "default",
            **_FILES,
        },
        "eval_kwargs": {
            "description": "Values in place of those of the configuration for evaluation, by id.",
            "type": ["object", "null"],
            "default": None,
        },
        "config_filters_filename": {
            "description": "A configuration of filters of MONAI's federated interface.",
            "default": None,
            **_FILES,
        },
        "disable_ckpt_loading": {
            "description": "Whether handlers that load checkpoints are left out.",
            "type": "boolean",
            "default": True,
        },
        "best_model_filepath": {
            "description": "Where the bundle saves its best model.",
            "type": ["string", "null"],
            "default": "models/model.pt",
        },
        "final_model_filepath": {
            "description": "Where the bundle saves its last model.",
            "type": ["string", "null"],
            "default": "models/model_final.pt",
        },
        "save_dict_key": {
            "description": "The key of the weights in what the bundle saves.",
            "type": ["string", "null"],
            "default": "model",
        },
        "eval_workflow_name": {
            "description": "Of which kind the workflow for evaluation is.",
            "type": "string",
            "default": "train",
        },
    },
}

ALGO_EXTRAS: Final[dict[str, Any]] = {"bundle": BUNDLE_FACT}


def register(registry: Any) -> None:
    """Register trainer, MONAI's algorithm for bundles, the prefix of others, and a persistor."""
    registry.add(
        kind="client_trainer",
        name="ClientAlgoTrainer",
        target="mmar_runner_monai.algo.trainer:ClientAlgoTrainer",
        args_schema=TRAINER_ARGS,
        summary="Has a ClientAlgo of MONAI's federated interface train, such as a bundle.",
        extras=TRAINER_EXTRAS,
    )
    registry.add(
        kind="client_algo",
        name="MonaiAlgo",
        target="monai.fl.client:MonaiAlgo",
        args_schema=ALGO_ARGS,
        summary="Trains and evaluates a MONAI bundle.",
        extras=ALGO_EXTRAS,
    )
    registry.add(
        kind="client_algo",
        name=PREFIX,
        path_prefix=True,
        summary="Any class under monai.fl.client, named by its path.",
        extras=ALGO_EXTRAS,
    )
    registry.add(
        kind="model_persistor",
        name="PTCheckpointPersistor",
        target="mmar_runner_monai.bundle.persistor:PTCheckpointPersistor",
        summary="Begins with a .pt checkpoint whose network is not declared.",
        extras={"reads_checkpoints": [".pt", ".pth"], "makes_own_model": True},
    )
