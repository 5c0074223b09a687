# SPDX-License-Identifier: Apache-2.0
"""JSON Schema of what `TorchTrainer` takes."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_torch.common_schemas import (
    DEVICE,
    EXCLUDE_VARS,
    LOCAL_EPOCHS,
    SEND,
    steps_aggregation,
)
from mmar_runner_torch.together import TOGETHER

_DP: Final[dict[str, Any]] = {
    "description": "DP-SGD by Opacus (the extra dp); null for none.",
    "type": ["object", "null"],
    "required": ["max_grad_norm", "noise_multiplier", "delta"],
    "additionalProperties": False,
    "properties": {
        "max_grad_norm": {
            "description": "The norm to which the gradient of every sample is clipped.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1e9,
        },
        "noise_multiplier": {
            "description": "Standard deviation of the noise on their sum, in units of "
            "max_grad_norm.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1e6,
        },
        "delta": {
            "description": "The probability with which epsilon need not hold; well below one over "
            "the number of samples.",
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
        },
        "max_epsilon": {
            "description": "What a run may spend at a site: a round that would pass it fails with "
            "PRIVACY_BUDGET. null for no limit.",
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "default": None,
        },
    },
    "default": None,
}

TRAINER_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "local_epochs": LOCAL_EPOCHS,
        "steps_aggregation": steps_aggregation("Optimizer steps"),
        "send": SEND,
        "device": DEVICE,
        "exclude_vars": EXCLUDE_VARS,
        "accumulate_steps": {
            "description": "Batches whose gradients make one optimizer step; a group ends with its "
            "epoch.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000,
            "default": 1,
        },
        "amp": {
            "description": "Mixed precision: float16 on CUDA, bfloat16 on a CPU; null for what "
            "'amp' of config_train.json says.",
            "type": ["boolean", "null"],
            "default": None,
        },
        "fedprox_mu": {
            "description": "FedProx: mu of the term mu/2 ||w - w_t||^2 that holds the weights near "
            "the round's global model; 0 for none.",
            "type": "number",
            "minimum": 0,
            "maximum": 1e6,
            "default": 0.0,
        },
        "algorithm": {
            "description": "fedavg for steps along the loss; scaffold corrects them by control "
            "variates, and needs the aggregator Scaffold.",
            "enum": ["fedavg", "scaffold"],
            "default": "fedavg",
        },
        "dp": _DP,
    },
    **TOGETHER,
}
