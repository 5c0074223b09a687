# SPDX-License-Identifier: Apache-2.0
"""What every filter must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pytest

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import Filter, FilterContext
from mmar_runner.testing.contracts.laws import hold, same, shown

_CONTEXT: Final = FilterContext(
    client_name="site-1", round=3, kind=UpdateKind.WEIGHT_DIFF, seed=1234
)
_SHAPES: Final = ((), (0,), (1,), (17,), (3, 4), (2, 3, 4, 5))


class FilterContract(ABC):
    """A filter changes values only, and the same update always alike.

    Attributes:
        dtypes: The element types that it takes.
    """

    dtypes: ClassVar[tuple[npt.DTypeLike, ...]] = (np.float32, np.float64, np.int64)

    @abstractmethod
    def make(self) -> Filter:
        """Return a new filter."""

    @pytest.mark.parametrize("shape", _SHAPES, ids=str)
    def test_shape_and_dtype_stay(self, shape: tuple[int, ...]) -> None:
        """Also of scalars and of empty tensors."""
        for dtype in self.dtypes:
            tensor = _tensor(shape, dtype)
            result = self._applied(tensor)
            alike = result.shape == shape and result.dtype == tensor.dtype
            law = "A filter keeps shape and element type"
            expected = f"{tensor.dtype} of shape {shape}"
            hold(f"{law} of {shown(tensor)}", alike, expected=expected, got=result)

    @pytest.mark.parametrize("shape", _SHAPES, ids=str)
    def test_finite_stays_finite(self, shape: tuple[int, ...]) -> None:
        """The server refuses an update that holds NaN or an infinity."""
        for dtype in self.dtypes:
            tensor = _tensor(shape, dtype)
            result = self._applied(tensor)
            law = f"A filter makes only finite values of finite ones, as of {shown(tensor)}"
            hold(law, np.isfinite(result).all(), expected="no NaN and no infinity", got=result)

    def test_input_is_left_alone(self) -> None:
        """The tensor that comes in may be shared."""
        tensor = _tensor((64,), np.float32)
        before = tensor.copy()
        self._applied(tensor)
        same("A filter leaves the tensor that comes in as it is", before, tensor)

    def test_same_seed_same_result(self) -> None:
        """A task that is repeated gives the same update, bit for bit."""
        tensor = _tensor((64,), np.float32)
        first, second = self._applied(tensor), self._applied(tensor)
        same("A filter gives the same bits for the same seed", first, second)

    def _applied(self, tensor: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        made = self.make()
        made.begin(_CONTEXT)
        return made.apply("layer.weight", tensor)


def _tensor(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
    values = np.random.default_rng(7).normal(size=shape) * 10
    tensor = np.asarray(values).astype(dtype)
    tensor.setflags(write=False)
    return tensor
