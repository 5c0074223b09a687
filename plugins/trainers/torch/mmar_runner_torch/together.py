# SPDX-License-Identifier: Apache-2.0
"""Which arguments of `TorchTrainer` go together: keywords of its schema, and a check by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mmar_runner.documents.schema_check import faults
from mmar_runner.errors import ComponentBuildError


def _either(first: dict[str, Any], second: dict[str, Any], at: str, *said: str) -> dict[str, Any]:
    message, hint = said
    alternatives = {"at": at, "message": message, "hint": hint}
    return {"anyOf": [first, second], "x-alternatives": alternatives}


_NO_SCAFFOLD: Final[dict[str, Any]] = {"properties": {"algorithm": {"not": {"const": "scaffold"}}}}
_NOT_PRIVATE: Final[dict[str, Any]] = {"properties": {"dp": {"not": {"type": "object"}}}}

#: To be held all at once.
TOGETHER: Final[dict[str, Any]] = {
    "allOf": [
        _either(
            _NO_SCAFFOLD,
            {"required": ["send"], "properties": {"send": {"const": "weight_diff"}}},
            "algorithm",
            "scaffold sends differences of weights and of control variates.",
            'Write "send": "weight_diff".',
        ),
        _either(
            _NO_SCAFFOLD,
            {"properties": {"fedprox_mu": {"maximum": 0}}},
            "fedprox_mu",
            "scaffold takes all that moves the weights for gradients of the loss: not fedprox_mu.",
            "Remove fedprox_mu, or algorithm.",
        ),
        _either(
            _NOT_PRIVATE,
            {"properties": {"accumulate_steps": {"maximum": 1}}},
            "accumulate_steps",
            "dp draws every batch by itself: there is nothing to accumulate.",
            "Remove accumulate_steps, and write a larger batch_size.",
        ),
        _either(
            _NOT_PRIVATE,
            {"properties": {"amp": {"enum": [False, None]}}},
            "amp",
            "dp clips gradients of full precision.",
            "Remove amp.",
        ),
    ]
}


def require_together(arguments: Mapping[str, Any]) -> None:
    """Let nobody train with arguments that exclude each other.

    Args:
        arguments: As they were given to the constructor.

    Raises:
        ComponentBuildError: They do; an MMAR that was validated has none.
    """
    found = faults(TOGETHER, arguments)
    if found:
        raise ComponentBuildError(found[0].message, hint=found[0].hint)
