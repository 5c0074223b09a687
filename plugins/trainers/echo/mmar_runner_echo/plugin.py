# SPDX-License-Identifier: Apache-2.0
"""What this distribution registers."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner.hooks import hookimpl

TRAINER_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "constant": {
            "description": "What is added to every element of floating-point tensors.",
            "type": "number",
            "minimum": -1e30,
            "maximum": 1e30,
            "default": 1.0,
        },
        "num_samples": {
            "description": "How many samples are reported; the weight of the update.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1e15,
            "default": 1,
        },
        "noise": {
            "description": "Standard deviation of noise that is added, drawn from the seed.",
            "type": "number",
            "minimum": 0,
            "maximum": 1e30,
            "default": 0.0,
        },
        "seconds": {
            "description": "How long a round's training pretends to take, in seconds.",
            "type": "number",
            "minimum": 0,
            "default": 0.0,
        },
        "steps": {
            "description": "In how many steps it takes these seconds; each is told.",
            "type": "integer",
            "minimum": 1,
            "default": 10,
        },
        "validate_seconds": {
            "description": "How long the validation of a model pretends to take, in seconds.",
            "type": "number",
            "minimum": 0,
            "default": 0.0,
        },
        "fail_in_round": {
            "description": "The round in which it fails; negative for never.",
            "type": "integer",
            "default": -1,
        },
        "behaviour": {
            "description": "How it fails: an exception, exit(3), a hang, or NaN in the update.",
            "enum": ["raise", "exit", "hang", "nan"],
            "default": "raise",
        },
        "fail_rank": {
            "description": "Which of several processes fails; negative for each of them.",
            "type": "integer",
            "default": -1,
        },
        "fail_times": {
            "description": "How many attempts fail before one succeeds; 0 for all of them.",
            "type": "integer",
            "minimum": 0,
            "default": 0,
        },
    },
}

PERSISTOR_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "size_mb": {
            "description": "Size of the model in MB (1,000,000 bytes); 0.01 is 10 KB.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1_000_000,
            "default": 1.0,
        },
        "arrays": {
            "description": "How many float32 arrays make up the model.",
            "type": "integer",
            "minimum": 1,
            "maximum": 100_000,
            "default": 20,
        },
        "initial": {
            "description": "The first values: drawn from the seed, or zeros.",
            "enum": ["random", "zeros"],
            "default": "random",
        },
    },
}


@hookimpl
def mmar_register_components(registry: Any) -> None:
    """Register the trainer and its model."""
    registry.add(
        kind="client_trainer",
        name="EchoTrainer",
        target="mmar_runner_echo.trainer:EchoTrainer",
        args_schema=TRAINER_ARGS,
        summary="Returns the received model plus a constant; no data; fails on request.",
        extras={
            "memory": "O(block)",
            "produces": ["weights"],
            "measures": {"always": {"val_first_value": ""}},
            "parallel": {"launcher": "mmar_runner.children.launcher"},
        },
    )
    registry.add(
        kind="model_persistor",
        name="EchoModelPersistor",
        target="mmar_runner_echo.persistor:EchoModelPersistor",
        args_schema=PERSISTOR_ARGS,
        summary="Makes a model of a given size out of float32 arrays.",
        extras={"memory": "O(block)", "reads_checkpoints": [], "makes_own_model": True},
    )
