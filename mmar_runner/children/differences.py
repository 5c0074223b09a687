# SPDX-License-Identifier: Apache-2.0
"""Tensors as differences to the model that a site received, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmar_runner.errors import SchemaMismatchError
from mmar_runner.interfaces.aggregator import UpdateKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.storage.tensor_files import TensorReader


class Given(NamedTuple):
    """A tensor as it came, beside the difference that was made of it."""

    tensor: npt.NDArray[Any]
    difference: npt.NDArray[Any]


class Differences:
    """Subtracts the received model, and adds it again.

    Differences of floating numbers are float64, those of whole numbers and booleans int64. A
    difference of 0 gives the model's value, and one that nobody changed the value that there
    was, both to the bit: what is rounded is only what was changed.

    Args:
        received: The model, open; None if the tensors are differences already.
        kind: What the tensors are.
    """

    def __init__(self, received: TensorReader | None, kind: UpdateKind) -> None:
        self._received = received if kind is UpdateKind.WEIGHTS else None

    def of(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a tensor's difference to the received model.

        Raises:
            SchemaMismatchError: The model has no such tensor.
        """
        if self._received is None:
            return widened(tensor)
        with np.errstate(over="ignore"):
            return np.asarray(widened(tensor) - widened(self._base(name, tensor)))

    def back(
        self, name: str, difference: npt.NDArray[Any], dtype: np.dtype[Any], given: Given | None
    ) -> npt.NDArray[Any]:
        """Return the tensor that a difference stands for.

        Args:
            name: The tensor's name.
            difference: As `of` gave it, or changed.
            dtype: The tensor's own type.
            given: The tensor and the difference that there were, if they are at hand.
        """
        if given is not None and difference is given.difference:
            return given.tensor
        if self._received is None:
            result = _narrowed(difference, dtype)
        else:
            base = self._base(name, difference)
            with np.errstate(over="ignore"):
                result = _narrowed(np.asarray(widened(base) + difference), dtype)
            result = np.where(difference == 0, base.astype(dtype, copy=False), result)
        if given is not None:
            result = np.where(difference == given.difference, given.tensor, result)
        return np.asarray(result)

    def _base(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        assert self._received is not None  # noqa: S101 - those who call have looked
        base = self._received.read(name)
        if base.shape != tensor.shape:
            was = f"{list(base.shape)} in the received model, and {list(tensor.shape)} now"
            raise SchemaMismatchError(f"tensor {name!r} was {was}")
        return base


def widened(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the numbers as float64, or int64 for whole numbers and booleans."""
    return tensor.astype(np.int64 if is_whole(tensor.dtype) else np.float64)


def is_whole(dtype: np.dtype[Any]) -> bool:
    """Return True for whole numbers and booleans."""
    return bool(dtype == np.bool_ or np.issubdtype(dtype, np.integer))


def _narrowed(numbers: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if dtype == np.bool_:
        return np.asarray(numbers > 0)
    if is_whole(dtype):
        limits = np.iinfo(dtype)
        numbers = np.clip(numbers, limits.min, limits.max)
    return numbers.astype(dtype)
