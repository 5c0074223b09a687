# SPDX-License-Identifier: Apache-2.0
"""What every filter must do."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pytest

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import Filter, FilterContext
from mmar_runner.testing.contracts.laws import hold, same, shown

_CONTEXT: Final = FilterContext(
    client_name="site-1",
    round=3,
    kind=UpdateKind.WEIGHT_DIFF,
    seed=1234,
    num_rounds=10,
    num_samples=100.0,
    secret=bytes(range(32)),
)
_SHAPES: Final = ((), (0,), (1,), (17,), (3, 4), (2, 3, 4, 5))
_NAME: Final = "layer.weight"


class FilterContract(ABC):
    """A filter changes values only, and the same update always alike.

    Attributes:
        dtypes: The element types that it takes. One that works on differences is shown float64
            and int64 in their place, as in a run.
        uses_seed: True for a filter that draws from ``seed`` what need not be secret.
    """

    dtypes: ClassVar[tuple[npt.DTypeLike, ...]] = (np.float32, np.float64, np.int64)
    uses_seed: ClassVar[bool] = False

    @abstractmethod
    def make(self) -> Filter:
        """Return a new filter."""

    @pytest.mark.parametrize("shape", _SHAPES, ids=str)
    def test_shape_and_dtype_stay(self, shape: tuple[int, ...]) -> None:
        """Also of scalars and of empty tensors."""
        for dtype in self.dtypes:
            tensor = self._tensor(shape, dtype)
            result = self._applied(tensor)
            alike = result.shape == shape and result.dtype == tensor.dtype
            law = "A filter keeps shape and element type"
            expected = f"{tensor.dtype} of shape {shape}"
            hold(f"{law} of {shown(tensor)}", alike, expected=expected, got=result)

    @pytest.mark.parametrize("shape", _SHAPES, ids=str)
    def test_finite_stays_finite(self, shape: tuple[int, ...]) -> None:
        """The server refuses an update that holds NaN or an infinity."""
        for dtype in self.dtypes:
            tensor = self._tensor(shape, dtype)
            result = self._applied(tensor)
            law = f"A filter makes only finite values of finite ones, as of {shown(tensor)}"
            hold(law, np.isfinite(result).all(), expected="no NaN and no infinity", got=result)

    def test_input_is_left_alone(self) -> None:
        """The tensor that comes in may be shared."""
        tensor = self._tensor((64,), np.float32)
        before = tensor.copy()
        self._applied(tensor)
        same("A filter leaves the tensor that comes in as it is", before, tensor)

    def test_same_seed_same_result(self) -> None:
        """A task that is repeated gives the same update, bit for bit."""
        tensor = self._tensor((64,), np.float32)
        first, second = self._applied(tensor), self._applied(tensor)
        same("A filter gives the same bits for the same seed", first, second)

    def test_noise_comes_from_the_secret(self) -> None:
        """The server knows the seed: what is drawn from it hides nothing from the server."""
        if self.uses_seed:
            pytest.skip("the filter draws nothing that has to be secret")
        tensor = self._tensor((64,), np.float32)
        first = self._applied(tensor)
        second = self._applied(tensor, replace(_CONTEXT, seed=4321))
        law = "A filter draws its noise from context.secret, so that another seed changes no bit"
        same(law, first, second)

    def test_a_round_begins_anew(self) -> None:
        """One filter serves all rounds: what it learnt of one update tells nothing of the next."""
        made, tensor = self.make(), self._tensor((64,), np.float32)
        with tempfile.TemporaryDirectory() as folder:
            self._sent(made, _told(Path(folder)), {_NAME: tensor * 3 + 1, "b": tensor[:7]})
        with tempfile.TemporaryDirectory() as folder:
            second = self._sent(made, _told(Path(folder)), {_NAME: tensor})
        law = "What a filter made of an update does not depend on the one before"
        same(law, self._applied(tensor), second[_NAME])

    def test_every_tensor_of_an_update_passes(self) -> None:
        """Also whole numbers, booleans or control variates beside the weights."""
        update = {
            _NAME: self._tensor((3, 4), np.float32),
            f"control_variate/{_NAME}": self._tensor((3, 4), np.float32),
            "steps": self._tensor((), np.int64),
        }
        with tempfile.TemporaryDirectory() as folder:
            sent = self._sent(self.make(), _told(Path(folder)), update)
        for name, tensor in update.items():
            alike = sent[name].shape == tensor.shape and sent[name].dtype == tensor.dtype
            law = f"A filter keeps shape and element type of the tensor {name!r}"
            hold(law, alike, expected=shown(tensor), got=sent[name])

    def test_metrics_are_finite_numbers(self) -> None:
        """They go with the update, by name."""
        made = self.make()
        with tempfile.TemporaryDirectory() as folder:
            self._sent(made, _told(Path(folder)), {_NAME: self._tensor((64,), np.float32)})
            metrics: Any = made.finish()
        kept = isinstance(metrics, Mapping) and all(
            isinstance(name, str) and np.isfinite(value) for name, value in metrics.items()
        )
        law = "A filter's finish gives finite numbers by name"
        hold(law, kept, expected="finite numbers by name", got=metrics)

    def _applied(
        self, tensor: npt.NDArray[np.generic], context: FilterContext = _CONTEXT
    ) -> npt.NDArray[np.generic]:
        with tempfile.TemporaryDirectory() as folder:
            return self._sent(self.make(), _told(Path(folder), context), {_NAME: tensor})[_NAME]

    def _sent(
        self, made: Filter, context: FilterContext, update: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[Any]]:
        """Send an update through, as the runner does."""
        made.begin(context)
        again = made.needs_measure
        while again:
            for name, tensor in update.items():
                made.measure(name, tensor)
            again = made.measures_again()
        return {name: made.apply(name, tensor) for name, tensor in update.items()}

    def _tensor(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        values = np.random.default_rng(7).normal(size=shape) * 10
        tensor = np.asarray(values).astype(dtype)
        if self.make().on_differences:
            tensor = tensor.astype(np.float64 if tensor.dtype.kind == "f" else np.int64)
        tensor.setflags(write=False)
        return tensor


def _told(folder: Path, context: FilterContext = _CONTEXT) -> FilterContext:
    """Return a context with folders of its own."""
    names = ("state", "new_state", "ledger")
    for name in names:
        (folder / name).mkdir()
    state, new_state, ledger = (folder / name for name in names)
    return replace(context, state=state, new_state=new_state, ledger=ledger)
