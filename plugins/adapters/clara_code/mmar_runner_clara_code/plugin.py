# SPDX-License-Identifier: Apache-2.0
"""Registers the adapters, and states for which classes they are: data, and no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl
from mmar_runner_clara_code.api.constants import CONSTANTS, constants_of
from mmar_runner_clara_code.names import PROVIDED, ROOTS

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_PACKAGE: Final = "mmar_runner_clara_code"
#: What older methods are given.
_ROUND: Final = ("fl_ctx",)
_UPDATE: Final = ("shareable", *_ROUND)


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register the adapters; what they run is imported in a child that builds it."""
    registry.add(
        kind="aggregator",
        name="ClaraCodeAggregator",
        target=f"{_PACKAGE}.aggregator:ClaraCodeAggregator",
        args_schema=_schema("aggregator"),
        summary="Runs an MMAR's own aggregator that was written for Clara Train 4, in a child.",
        extras={
            "whole_updates": True,
            "adapts": _adapts("Aggregator", accept=_UPDATE, aggregate=_ROUND),
            "memory": "in a child: what the code keeps, as a rule a model a client, and one more",
            "tags": ["needs_each_update"],
        },
    )
    registry.add(
        kind="filter",
        name="ClaraCodeFilter",
        target=f"{_PACKAGE}.filter:ClaraCodeFilter",
        args_schema=_schema("filter"),
        summary="Runs an MMAR's own filter that was written for Clara Train 4.",
        extras={"adapts": _adapts("Filter", process=_UPDATE), "memory": "O(model)"},
    )
    registry.add(
        kind="client_trainer",
        name="ClaraCodeTrainer",
        target=f"{_PACKAGE}.trainer:ClaraCodeTrainer",
        args_schema=_schema("client_trainer"),
        summary="Runs an MMAR's own trainer that was written for Clara Train 4.",
        extras={
            "adapts": _adapts("Trainer", train=(*_UPDATE, "abort_signal")),
            "memory": "O(model), and the code's",
        },
    )


def _adapts(base: str, **methods: tuple[str, ...]) -> dict[str, Any]:
    return {
        "modules": [f"{root}." for root in ROOTS],
        "bases": [base],
        "methods": list(methods),
        "arguments": {name: list(given) for name, given in methods.items()},
        "constants": {name: list(constants_of(one)) for name, one in CONSTANTS.items()},
        "provides": {module: list(names) for module, names in PROVIDED.items()},
    }


def _schema(kind: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "code": {
                "type": "object",
                "x-component": kind,
                "description": (
                    "The class in custom/, with its arguments. An MMAR that declares the class"
                    " itself, as it was written, needs none of this."
                ),
            }
        },
        "required": ["code"],
        "additionalProperties": False,
    }
