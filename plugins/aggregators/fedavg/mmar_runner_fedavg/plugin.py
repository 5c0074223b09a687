# SPDX-License-Identifier: Apache-2.0
"""Registers FedAvg, under its own name and those of older systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.tags import Tag

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_CLARA: Final = "medl.apps.fed_learn.aggregators"
_NVFLARE_1: Final = "nvflare.components.aggregators"
_NVFLARE_2: Final = "nvflare.app_common.aggregators"

_ALIASES: Final = (
    "ModelAggregator",
    "AccumulateWeightedAggregator",
    "InTimeAccumulateWeightedAggregator",
    "medl.apps.fed_learn.server.model_aggregator.ModelAggregator",
    f"{_CLARA}.model_aggregator.ModelAggregator",
    f"{_CLARA}.accumulate_model_aggregator.AccumulateWeightedAggregator",
    f"{_CLARA}.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
    f"{_NVFLARE_1}.accumulate_model_aggregator.AccumulateWeightedAggregator",
    f"{_NVFLARE_1}.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
    f"{_NVFLARE_2}.accumulate_model_aggregator.AccumulateWeightedAggregator",
    f"{_NVFLARE_2}.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
)

_ARGS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
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
        "expected_data_kind": {
            "enum": ["WEIGHTS", "WEIGHT_DIFF", None],
            "default": None,
            "description": (
                "What every update must hold: full weights or differences to the round's"
                " model; null accepts both."
            ),
        },
    },
    "additionalProperties": False,
}


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register the aggregator as data; its code is imported when a round needs it."""
    registry.add(
        kind="aggregator",
        name="FedAvg",
        target="mmar_runner_fedavg.fedavg:FedAvg",
        args_schema=_ARGS_SCHEMA,
        aliases=_ALIASES,
        summary="Weighted mean of the updates, by samples and declared weights.",
        extras={
            "memory": "O(block)",
            "tags": [Tag.COMPOSES.value],
            "foldable": True,
            "expects": {"argument": "expected_data_kind"},
        },
    )
