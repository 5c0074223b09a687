# SPDX-License-Identifier: Apache-2.0
"""What every aggregator must do that is given whole updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.interfaces.whole_aggregator import WholeResult, WholeRound, WholeUpdate
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.contracts.laws import hold, near, same

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmar_runner.interfaces.whole_aggregator import WholeUpdateAggregator

    _Tensors = dict[str, npt.NDArray[Any]]

_CLIENTS: Final = ("site-1", "site-2", "site-3")
_SAMPLES: Final = (10.0, 40.0, 70.0)
_SHAPES: Final = {
    "layer.weight": ("F32", (3, 4)),
    "layer.bias": ("F32", ()),
    "count": ("I64", (2,)),
}
#: How far two orders of the same sum may be apart.
_ROUNDING: Final = 1e-5


class WholeUpdateAggregatorContract(ABC):
    """A rule makes one result of the updates that it was given, round after round."""

    @abstractmethod
    def make(self) -> WholeUpdateAggregator:
        """Return a new aggregator, one that accepts every update."""

    def test_a_result_is_one_of_the_model(self, tmp_path: Path) -> None:
        """Finite float64 tensors, named and shaped like the model's, or said to be left out."""
        made, tensors = self._aggregated(self._ready(tmp_path), tmp_path, _CLIENTS)
        law = "A rule answers with a WholeResult"
        hold(law, isinstance(made, WholeResult), expected="such", got=made)
        law = "What is not left out is written, and nothing else"
        same(law, sorted(_SHAPES.keys() - set(made.left_out)), sorted(tensors))
        for name, tensor in tensors.items():
            law = f"The tensor {name} of a result is float64, has the model's shape, and is finite"
            fits = tensor.dtype == np.float64 and tensor.shape == _SHAPES[name][1]
            hold(law, fits and np.isfinite(tensor).all(), expected="such", got=tensor)

    def test_the_kind_is_one_of_two(self) -> None:
        """What it wants its files to hold is known before it is given any."""
        wants = self.make().wants
        law = "A rule wants weights or differences"
        hold(law, wants in set(UpdateKind), expected="an UpdateKind", got=wants)

    def test_order_does_not_matter(self, tmp_path: Path) -> None:
        """Apart from rounding: which client comes first is an accident of names."""
        _, first = self._aggregated(self._ready(tmp_path), tmp_path, _CLIENTS)
        _, other = self._aggregated(self._ready(tmp_path), tmp_path, _CLIENTS[::-1])
        for name, tensor in first.items():
            law = f"Another order of the clients gives the same tensor {name}, apart from rounding"
            near(law, tensor, other[name], rtol=_ROUNDING, atol=_ROUNDING)

    def test_of_one_update_a_result_can_be_made(self, tmp_path: Path) -> None:
        """A round may close with one."""
        _, tensors = self._aggregated(self._ready(tmp_path), tmp_path, _CLIENTS[:1])
        for name, tensor in tensors.items():
            law = f"Of one update the tensor {name} is finite"
            hold(law, np.isfinite(tensor).all(), expected="no NaN and no infinity", got=tensor)

    def test_another_round_can_follow(self, tmp_path: Path) -> None:
        """What was taken in one round is none of the next one's."""
        rule = self._ready(tmp_path)
        self._aggregated(rule, tmp_path, _CLIENTS)
        _, tensors = self._aggregated(rule, tmp_path, _CLIENTS[:2], number=1)
        law = "The next round has its result too"
        hold(law, tensors, expected="its tensors", got=tensors)
        rule.close()

    def _ready(self, folder: Path) -> WholeUpdateAggregator:
        rule = self.make()
        rule.setup(TrainerContext("server", folder, folder, {}, {}, {}, _no_components))
        return rule

    def _aggregated(
        self, rule: WholeUpdateAggregator, folder: Path, clients: Sequence[str], *, number: int = 0
    ) -> tuple[WholeResult, _Tensors]:
        rule.begin(WholeRound(number, 3, 0, tuple(clients)))
        for client in clients:
            file = folder / "update.safetensors"
            _write(file, _CLIENTS.index(client) + 10 * number)
            samples = _SAMPLES[_CLIENTS.index(client)]
            refused = rule.accept(WholeUpdate(Contribution(client, samples, rule.wants), file))
            hold("The rule of a suite accepts", not refused, expected="nothing", got=refused)
            file.unlink()
        result = folder / "result.safetensors"
        made = rule.aggregate(result)
        with TensorReader(result) as reader:
            return made, {name: reader.read(name) for name in reader.header.tensors}


def _write(file: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    listed = [(name, dtype, shape) for name, (dtype, shape) in _SHAPES.items()]
    with TensorWriter(file, listed) as writer:
        for name, (dtype, shape) in _SHAPES.items():
            tensor = np.asarray(draw.normal(size=shape)).astype(numpy_dtype(dtype))
            writer.write(name, tensor)
        writer.commit()


def _no_components(kind: object, declaration: object) -> Any:
    msg = f"an aggregator of a suite has no parts, not even {kind} {declaration}"
    raise AssertionError(msg)
