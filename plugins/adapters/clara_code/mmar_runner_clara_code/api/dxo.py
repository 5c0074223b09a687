# SPDX-License-Identifier: Apache-2.0
"""Tensors with what they are, as the last releases of that time wrap them in a shareable."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_clara_code.api.constants import FLConstants, Named, ShareableValue
from mmar_runner_clara_code.api.shareable import Shareable

_DXO: Final = "__dxo__"


class DataKind(metaclass=Named):
    """What the tensors are."""

    WEIGHTS: Final = ShareableValue.TYPE_WEIGHTS
    WEIGHT_DIFF: Final = ShareableValue.TYPE_WEIGHT_DIFF
    METRICS: Final = ShareableValue.TYPE_METRICS


class MetaKey(metaclass=Named):
    """Keys of what is said of the tensors."""

    CURRENT_LEARNING_RATE: Final = FLConstants.CURRENT_LEARNING_RATE
    INITIAL_METRICS: Final = FLConstants.INITIAL_METRICS
    NUM_STEPS_CURRENT_ROUND: Final = FLConstants.NUM_STEPS_CURRENT_ROUND
    PROCESSED_ALGORITHM: Final = "processed_algorithm"
    PROCESSED_KEYS: Final = "processed_keys"


class DXO:
    """Tensors by name.

    Attributes:
        data_kind: What they are.
        data: They.
        meta: What is said of them, by `MetaKey`.
    """

    def __init__(
        self, data_kind: str, data: Any = None, meta: dict[str, Any] | None = None
    ) -> None:
        self.data_kind = data_kind
        self.data = {} if data is None else data
        self.meta = {} if meta is None else meta

    def get_meta_prop(self, key: str, default: Any = None) -> Any:
        """Return what is said of the tensors, or a default."""
        return self.meta.get(key, default)

    def set_meta_prop(self, key: str, value: Any) -> None:
        """Say something of the tensors."""
        self.meta[key] = value

    def get_meta_props(self) -> dict[str, Any]:
        """Return all that is said of them."""
        return self.meta

    def set_meta_props(self, meta: dict[str, Any]) -> None:
        """Say all of them anew."""
        self.meta = dict(meta)

    def to_shareable(self) -> Shareable:
        """Return a shareable of them."""
        return self.update_shareable(Shareable())

    def update_shareable(self, shareable: Shareable) -> Shareable:
        """Put them into a shareable, and return it."""
        shareable[_DXO] = self
        return shareable

    def validate(self) -> str:
        """Return what is wrong, or nothing."""
        return "" if isinstance(self.data, dict) else "data is no dictionary"


def from_shareable(shareable: Shareable) -> DXO:
    """Return what a shareable holds.

    Raises:
        ValueError: It holds none.
    """
    found = dxo_in(shareable)
    if found is None:
        msg = "the shareable holds no DXO"
        raise ValueError(msg)
    return found


def dxo_in(shareable: Shareable) -> DXO | None:
    """Return what a shareable holds, or None."""
    found = shareable.get(_DXO)
    return found if isinstance(found, DXO) else None
