# SPDX-License-Identifier: Apache-2.0
"""Sites that attack: a filter that some sites' differences pass through, for measurements only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter, FilterContext

if TYPE_CHECKING:
    from collections.abc import Sequence


class Attacker(Filter):
    """Multiplies what certain sites send; what others send stays as it is.

    Args:
        sites: Their names.
        factor: -10 turns an update round and makes it ten times as long.
    """

    def __init__(self, sites: Sequence[str], factor: float) -> None:
        self._sites, self._factor = frozenset(sites), factor
        self._attacks = False

    def begin(self, context: FilterContext) -> None:
        """Look at who sends, and refuse what would turn whole weights round."""
        if context.kind.value != "weight_diff":
            raise ValueError("the attacker works on differences: let the trainer send them")
        self._attacks = context.client_name in self._sites

    def apply(self, name: str, tensor: Any) -> Any:  # noqa: ARG002 - the interface's signature
        """Return the tensor, or a multiple of it if it is floating."""
        if not self._attacks or not np.issubdtype(tensor.dtype, np.floating):
            return tensor
        return (tensor * self._factor).astype(tensor.dtype)


@hookimpl
def mmar_register_components(registry: Any) -> None:
    """Register it."""
    properties = {
        "sites": {"type": "array", "items": {"type": "string"}, "description": "Who attacks."},
        "factor": {"type": "number", "description": "What their differences are multiplied by."},
    }
    schema = {"type": "object", "properties": properties, "required": ["sites", "factor"]}
    registry.add(kind="filter", name="Attacker", target=":Attacker", args_schema=schema)
