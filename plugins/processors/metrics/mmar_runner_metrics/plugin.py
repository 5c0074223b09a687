# SPDX-License-Identifier: Apache-2.0
"""Registers the metrics processor and the best-model selector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_PROCESSOR_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "tensorboard": {
            "type": ["boolean", "null"],
            "default": None,
            "description": (
                "Whether TensorBoard files are written; null writes them if the"
                " tensorboard package is installed, true requires it."
            ),
        },
    },
    "additionalProperties": False,
}

_SELECTOR_ARGS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "metric": {
            "type": ["string", "null"],
            "minLength": 1,
            "default": None,
            "description": (
                "Validation metric by which models are compared; null takes the first"
                " in alphabetical order that is not a loss."
            ),
        },
        "higher_is_better": {
            "type": "boolean",
            "default": True,
            "description": "Whether a larger value is better; false for losses and errors.",
        },
        "weigh_by_local_iter": {
            "type": "boolean",
            "default": True,
            "description": (
                "Whether clients' metrics are averaged by their numbers of samples; false"
                " counts every client alike."
            ),
        },
        "aggregation_weights": {
            "type": "object",
            "default": {},
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1e9},
            "description": "A factor for the weight of each client that is named; others have 1.",
        },
    },
    "additionalProperties": False,
}

_SELECTOR_ALIASES: Final = (
    "IntimeModelSelectionHandler",
    "IntimeModelSelector",
    "nvflare.components.handlers.intime_model_selection_handler.IntimeModelSelectionHandler",
    "nvflare.app_common.handlers.intime_model_selection_handler.IntimeModelSelectionHandler",
    "nvflare.app_common.widgets.intime_model_selector.IntimeModelSelector",
)


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register both as data; their code is imported when a run needs it."""
    registry.add(
        kind="result_processor",
        name="MetricsProcessor",
        target="mmar_runner_metrics.processor:MetricsProcessor",
        args_schema=_PROCESSOR_ARGS,
        summary="Writes the metrics that clients send to metrics.csv and TensorBoard files.",
        extras={"topics": ["metrics"]},
    )
    registry.add(
        kind="handler",
        name="BestModelSelector",
        target="mmar_runner_metrics.selector:MetricSelector",
        args_schema=_SELECTOR_ARGS,
        aliases=_SELECTOR_ALIASES,
        summary="Chooses the best global model by one validation metric.",
        extras={
            "selects_best_model": True,
            "reads_metric": "metric",
            "larger_is_better": "higher_is_better",
        },
    )
