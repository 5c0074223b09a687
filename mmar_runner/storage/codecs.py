# SPDX-License-Identifier: Apache-2.0
"""Codecs: the element types in which the tensors of an update travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmar_runner.storage.codec_names import BF16, FP16, I32, I64, NONE, PARTIAL
from mmar_runner.storage.dtypes import DTYPE_NAMES, numpy_dtype


@dataclass(frozen=True, slots=True)
class Codec:
    """How the tensors of an update travel.

    A value: two codecs of one name are the same. What a file of an update holds follows from
    the model's schema and the codec alone (`mmar_runner.storage.model_schema.ModelSchema.encoded`),
    so that a server needs to believe nothing that the file says of itself.

    Attributes:
        name: By which server and clients agree on it at Register.
        wire: ``dtype of the model's tensor -> dtype of the update's``; a dtype that is not
            there travels as it is.
    """

    name: str
    wire: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def on_wire(self, dtype: str) -> str:
        """Return the dtype in which a tensor travels that has ``dtype`` in the model."""
        return self.wire.get(dtype, dtype)

    def carries(self, model: np.dtype[Any], wire: str) -> bool:
        """Whether a tensor of one dtype travels in another one, and in that."""
        return self._numpy_wire().get(model) == numpy_dtype(wire) != model

    def encode(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return elements as they travel, each rounded to the nearest, ties to even.

        What is more than the wire's type holds becomes an infinity. F64 becomes BF16 by way of
        F32.

        Args:
            block: Elements in a dtype of the model.
        """
        wire = self._numpy_wire().get(block.dtype)
        if wire is None:
            return block
        with np.errstate(over="ignore"):
            return block.astype(wire)

    def decode(self, block: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return elements that have travelled in a dtype of the model; this loses nothing.

        Args:
            block: Elements as they came.
            dtype: That of the model's tensor.
        """
        return block.astype(dtype, copy=False)

    def _numpy_wire(self) -> dict[np.dtype[Any], np.dtype[Any]]:
        return {numpy_dtype(model): numpy_dtype(wire) for model, wire in self.wire.items()}


def _halved(name: str, dtype: str) -> Codec:
    return Codec(name, MappingProxyType({"F32": dtype, "F64": dtype}))


def _whole(name: str, dtype: str) -> Codec:
    # Of every tensor: a filter has encoded it, and the rule that takes it decodes it.
    return Codec(name, MappingProxyType(dict.fromkeys(DTYPE_NAMES, dtype)))


#: Every codec that a run may agree on and this version knows, by name.
CODECS: Final[Mapping[str, Codec]] = MappingProxyType(
    {
        NONE: Codec(NONE),
        FP16: _halved(FP16, "F16"),
        BF16: _halved(BF16, "BF16"),
        I32: _whole(I32, "I32"),
        I64: _whole(I64, "I64"),
    }
)
#: In which a combiner's partial sum travels, whatever the run's updates do.
PARTIAL_SUM: Final = _whole(PARTIAL, "F64")
