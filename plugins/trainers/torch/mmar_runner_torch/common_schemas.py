# SPDX-License-Identifier: Apache-2.0
"""What trainers on PyTorch have in common: arguments, pieces of workflow files, facts.

Other distributions whose trainers are built on `TorchLoopTrainer` take them from here.
"""

from __future__ import annotations

from typing import Any, Final

DEVICE: Final[dict[str, Any]] = {
    "description": "Where to compute; auto takes a GPU if there is one.",
    "enum": ["auto", "cpu", "cuda"],
    "default": "auto",
}
LOCAL_EPOCHS: Final[dict[str, Any]] = {
    "description": "Passes over the site's data in a round.",
    "type": "integer",
    "minimum": 1,
    "maximum": 1_000_000,
    "default": 1,
}
SEND: Final[dict[str, Any]] = {
    "description": "Whether the update holds weights or differences to the round's model.",
    "enum": ["weights", "weight_diff"],
    "default": "weights",
}
EXCLUDE_VARS: Final[dict[str, Any]] = {
    "description": "Regular expression of tensor names that a site neither takes from the "
    'global model, once it has its own, nor sends; "dummy" excludes nothing.',
    "type": ["string", "null"],
    "format": "regex",
    "maxLength": 1000,
    "default": None,
}


def steps_aggregation(what: str) -> dict[str, Any]:
    """Return the argument that ends a round after so many of what a trainer counts."""
    return {
        "description": f"{what} in a round; if positive, it goes before local_epochs.",
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "default": 0,
    }


VALIDATOR_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"device": DEVICE},
}

#: The declaration of a part in a workflow file.
PART: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "path": {"type": "string"},
        "args": {"type": "object"},
        "disabled": {"type": "boolean"},
    },
}
#: Keys that are comments.
COMMENTS: Final[dict[str, Any]] = {"^(_|//|#|comment)": {}}
#: What a variable of a workflow file may hold.
VARIABLE: Final = ["string", "number", "boolean", "null"]
_SWITCH: Final[dict[str, Any]] = {
    "description": "Of older archives, without effect here.",
    "type": "boolean",
}
#: Keys of older archives without effect here.
NO_EFFECT: Final = dict.fromkeys(("use_gpu", "tf32", "cudnn_benchmark"), _SWITCH)
EPOCHS: Final[dict[str, Any]] = {
    "description": "Of older archives, without effect here: local_epochs counts.",
    "type": "integer",
    "minimum": 1,
}


def part(**more: Any) -> dict[str, Any]:
    """Return the schema of a part that has further keys."""
    return {**PART, "properties": {**PART["properties"], **more}}


#: What a trainer states of the update that it sends, and of its processes.
TRAINER_FACTS: Final[dict[str, Any]] = {
    "produces": {"argument": "send"},
    "parallel": {"launcher": "mmar_runner_torch.launch", "own_code": True},
}
SENDS: Final[tuple[dict[str, str], ...]] = (
    {"tag": "sends_differences", "if": "send", "is": "weight_diff"},
    {"tag": "sends_weights", "if": "send", "is": "weights"},
)
DROPS: Final[dict[str, str]] = {"tag": "drops_tensors", "if": "exclude_vars"}
