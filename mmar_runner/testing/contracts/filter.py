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
            assert result.shape == shape
            assert result.dtype == tensor.dtype

    @pytest.mark.parametrize("shape", _SHAPES, ids=str)
    def test_finite_stays_finite(self, shape: tuple[int, ...]) -> None:
        """The server refuses an update that holds NaN or an infinity."""
        for dtype in self.dtypes:
            assert np.isfinite(self._applied(_tensor(shape, dtype))).all()

    def test_input_is_left_alone(self) -> None:
        """The tensor that comes in may be shared."""
        tensor = _tensor((64,), np.float32)
        before = tensor.tobytes()
        self._applied(tensor)
        assert tensor.tobytes() == before

    def test_same_seed_same_result(self) -> None:
        """A task that is repeated gives the same update, bit for bit."""
        tensor = _tensor((64,), np.float32)
        assert self._applied(tensor).tobytes() == self._applied(tensor).tobytes()

    def _applied(self, tensor: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        made = self.make()
        made.begin(_CONTEXT)
        return made.apply("layer.weight", tensor)


def _tensor(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
    values = np.random.default_rng(7).normal(size=shape) * 10
    tensor = np.asarray(values).astype(dtype)
    tensor.setflags(write=False)
    return tensor
