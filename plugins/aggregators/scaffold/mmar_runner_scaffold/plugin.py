# SPDX-License-Identifier: Apache-2.0
"""Registers SCAFFOLD's server, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.companions import CONTROL_VARIATE
from mmar_runner.interfaces.tags import Tag

if TYPE_CHECKING:
    from mmar_runner.hooks import Registrar

_ARGS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "server_learning_rate": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 1.0,
            "description": "Factor of the server's step, above 0.",
        },
        "num_clients": {
            "type": ["integer", "null"],
            "minimum": 1,
            "default": None,
            "description": (
                "The number of all clients, of which a round may have some;"
                " null for min_num_clients."
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
    },
    "additionalProperties": False,
}


@hookimpl
def mmar_register_components(registry: Registrar) -> None:
    """Register the aggregator as data; its code is imported when a round needs it."""
    registry.add(
        kind="aggregator",
        name="Scaffold",
        target="mmar_runner_scaffold.scaffold:Scaffold",
        args_schema=_ARGS_SCHEMA,
        summary="SCAFFOLD: control variates keep clients with different data together.",
        extras={
            "memory": "O(block): one block of an update and of the model; files are twice as large",
            "paper": "Karimireddy et al., 2020, arXiv:1910.06378, algorithm 1",
            "tags": [Tag.SUMS.value, Tag.CONTROL_VARIATES.value],
            "companions": [CONTROL_VARIATE],
            "expects": [UpdateKind.WEIGHT_DIFF.value],
            "foldable": True,
        },
    )
