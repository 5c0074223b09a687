# SPDX-License-Identifier: Apache-2.0
"""What this distribution registers."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.entry_points import ENTRY_POINT_SCHEMA, ENTRY_POINTS, FACT

_FILE: Final[dict[str, Any]] = {
    "description": "A file of the MMAR that holds entry points, such as fedn.yaml.",
    "type": ["string", "null"],
    "minLength": 1,
    "default": None,
}
_ENVIRONMENT: Final[dict[str, Any]] = {
    "description": "Variables of the commands' environment; MMAR_RUNNER_... are the runner's.",
    "type": "object",
    "patternProperties": {
        "^(?!MMAR_RUNNER_)[A-Za-z_][A-Za-z0-9_]*$": {"type": ["string", "number", "boolean"]}
    },
    "additionalProperties": False,
    "default": {},
}
_SENDS: Final[dict[str, Any]] = {
    "description": "What the command train writes: weights, or differences to the received model.",
    "enum": ["weights", "weight_diff"],
    "default": "weights",
}


def _arguments(*names: str, **others: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a component's arguments: entry points by name, and others."""
    known = {
        name: {
            **ENTRY_POINT_SCHEMA,
            "type": ["object", "null"],
            "description": f"The entry point that {ENTRY_POINTS[name]}.",
            "default": None,
        }
        for name in names
    }
    properties = {"entry_points_file": _FILE, **known, **others, "environment": _ENVIRONMENT}
    return {"type": "object", "additionalProperties": False, "properties": properties}


@hookimpl
def mmar_register_components(registry: Any) -> None:
    """Register the trainer, its model and its validator."""
    registry.add(
        kind="client_trainer",
        name="EntryPointTrainer",
        target="mmar_runner_entry_points.trainer:EntryPointTrainer",
        args_schema=_arguments("startup", "train", "validate", sends=_SENDS),
        summary="Has every round trained by a command of the MMAR, in any framework.",
        extras={
            FACT: {"takes": ["startup", "train", "validate"], "needs": "train"},
            "produces": {"argument": "sends"},
            "tags": [
                {"tag": "sends_weights", "if": "sends", "is": "weights"},
                {"tag": "sends_differences", "if": "sends", "is": "weight_diff"},
            ],
        },
    )
    registry.add(
        kind="model_persistor",
        name="EntryPointModel",
        target="mmar_runner_entry_points.persistor:EntryPointModel",
        args_schema=_arguments("build"),
        summary="Has the initial model made by a command of the MMAR.",
        extras={
            FACT: {"takes": ["build"], "needs": "build"},
            "reads_checkpoints": [],
            "makes_own_model": True,
        },
    )
    registry.add(
        kind="model_validator",
        name="EntryPointValidator",
        target="mmar_runner_entry_points.validator:EntryPointValidator",
        args_schema=_arguments("startup", "validate"),
        summary="Has models measured by a command of the MMAR.",
        extras={FACT: {"takes": ["startup", "validate"], "needs": "validate"}},
    )
