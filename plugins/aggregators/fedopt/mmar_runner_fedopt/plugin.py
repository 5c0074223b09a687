# SPDX-License-Identifier: Apache-2.0
"""Registers the server optimizers, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.tags import Tag

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_HSU: Final = "Hsu, Qi and Brown, 2019, arXiv:1909.06335"
_REDDI: Final = "Reddi et al., 2020, arXiv:2003.00295, algorithm 2"
#: One block of one update, and one of every slot: whatever the model's size.
_MEMORY: Final = "O(block): one block of an update, of the model and of each tensor of state"

_SHARED: Final[dict[str, Any]] = {
    "aggregation_weights": {
        "type": ["object", "null"],
        "additionalProperties": {"type": "number", "minimum": 0},
        "default": {},
        "description": (
            "Weight of a client, by its name, times the samples it trained on;"
            " a client that is not named has 1."
        ),
    },
    "exclude_vars": {
        "type": ["string", "null"],
        "format": "regex",
        "maxLength": 1000,
        "default": None,
        "description": (
            "Tensors in whose name this regular expression is found keep the global"
            " model's values; null or empty excludes none."
        ),
    },
}


def _rate(default: float) -> dict[str, Any]:
    text = "Factor of the server's step, above 0."
    return {"type": "number", "exclusiveMinimum": 0, "default": default, "description": text}


def _decay(default: float, text: str) -> dict[str, Any]:
    limits = {"minimum": 0, "exclusiveMaximum": 1}
    return {"type": "number", **limits, "default": default, "description": text}


_TAU: Final = {
    "type": "number",
    "exclusiveMinimum": 0,
    "default": 0.001,
    "description": (
        "Is added to the root of the second moment, which begins with its square; above 0."
        " The smaller it is, the more a step adapts to each element."
    ),
}
_BETA1: Final = "How slowly the mean difference is forgotten: from 0 to below 1."
_BETA2: Final = "How slowly its square is forgotten: from 0 to below 1."
_MOMENTUM: Final = "Which part of the last step goes on: from 0 to below 1."

_RULES: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    (
        "FedAvgM",
        "FedAvg with momentum at the server.",
        _HSU,
        {"server_learning_rate": _rate(1.0), "momentum": _decay(0.9, _MOMENTUM)},
    ),
    (
        "FedAdagrad",
        "A server's step by the sum of all squared differences.",
        _REDDI,
        {"server_learning_rate": _rate(0.01), "beta1": _decay(0.0, _BETA1), "tau": _TAU},
    ),
    *(
        (
            name,
            summary,
            _REDDI,
            {
                "server_learning_rate": _rate(0.01),
                "beta1": _decay(0.9, _BETA1),
                "beta2": _decay(0.99, _BETA2),
                "tau": _TAU,
            },
        )
        for name, summary in (
            ("FedYogi", "A server's step by squared differences that change slowly."),
            ("FedAdam", "A server's step by averaged squared differences."),
        )
    ),
)


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register the aggregators as data; their code is imported when a round needs it."""
    for name, summary, paper, arguments in _RULES:
        registry.add(
            kind="aggregator",
            name=name,
            target=f"mmar_runner_fedopt.optimizers:{name}",
            args_schema={
                "type": "object",
                "properties": {**arguments, **_SHARED},
                "additionalProperties": False,
            },
            summary=summary,
            extras={
                "memory": _MEMORY,
                "paper": paper,
                "tags": [
                    *(Tag.SUMS.value, Tag.COMPOSES.value),
                    *(Tag.SCALES_BY_SAMPLES.value, Tag.KEEPS_STATE.value),
                ],
                "foldable": True,
            },
        )
