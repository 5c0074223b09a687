# SPDX-License-Identifier: Apache-2.0
"""Registers secure aggregation: a filter for clients, and the aggregator that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_PAPER: Final = (
    "Bonawitz et al. 2017, Practical Secure Aggregation, CCS '17 (ePrint 2017/281); Bell et al."
    " 2020, Secure Single-Server Aggregation with (Poly)Logarithmic Overhead, CCS '20 (ePrint"
    " 2020/704)"
)

#: What filter and aggregator must agree on.
_SHARED: Final[dict[str, Any]] = {
    "clip_range": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1.0,
        "description": (
            "The largest absolute difference to the round's model that is sent as it is; larger"
            " ones are clipped. The same for the filter and the aggregator."
        ),
    },
    "bits": {
        "enum": [32, 64],
        "default": 32,
        "description": (
            "Of the whole numbers that are sent for each value. The same for the filter and the"
            " aggregator."
        ),
    },
    "weighting": {
        "enum": ["equal", "samples"],
        "default": "equal",
        "description": (
            "Whether every update weighs the same, or its samples, which the server is told in"
            " the open. The same for the filter and the aggregator."
        ),
    },
    "max_samples": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 100_000,
        "description": (
            "With samples: so many weigh 1, and so do more. Take one near the largest site's, or"
            " small sites lose digits. The same for the filter and the aggregator."
        ),
    },
}

_FILTER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        **_SHARED,
        "least_clients": {
            "type": "integer",
            "minimum": 2,
            "default": 3,
            "description": (
                "Of how many updates a sum must be before this site helps to read it; with 2,"
                " each of two sites can work out the other's."
            ),
        },
    },
    "additionalProperties": False,
}

_AGGREGATOR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        **_SHARED,
        "answer_seconds": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 60.0,
            "description": (
                "How long the phases after the first wait for clients that are there but do not"
                " answer; then the others go on."
            ),
        },
    },
    "additionalProperties": False,
}


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register both as data; their code is imported when a round needs it."""
    registry.add(
        kind="filter",
        name="SecAggFilter",
        target="mmar_runner_secagg.masking:SecAggFilter",
        args_schema=_FILTER_SCHEMA,
        summary="Masks updates so that the server can read their sum only (SecAgg+).",
        extras={
            "memory": "two tensors of the update, and 1 MiB",
            "paper": _PAPER,
            "tags": ["masks", "bounds_values", "sends_differences"],
            "min_clients": {"base": 0, "per": {"least_clients": 1}},
        },
    )
    registry.add(
        kind="aggregator",
        name="SecureSum",
        target="mmar_runner_secagg.secure_sum:SecureSum",
        args_schema=_AGGREGATOR_SCHEMA,
        summary="Mean of masked updates, of which the server reads nothing but the sum.",
        extras={
            "memory": "O(clients x block): 64 MiB, and 100 bytes a pair of clients",
            "paper": _PAPER,
            "tags": [
                "sums",
                "unmasks",
                {"tag": "scales_by_samples", "if": "weighting", "is": "samples"},
            ],
            "min_clients": {"base": 2},
        },
    )
