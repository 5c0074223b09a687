# SPDX-License-Identifier: Apache-2.0
"""Writes a tensor file in a codec, block by block, and measures what that loses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.errors import StorageError
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.storage.codecs import Codec

#: Elements that are encoded at once: few enough to stay in the processor's cache.
_ELEMENTS: Final = 128 << 10


def encode_file(source: Path, destination: Path, codec: Codec) -> float:
    """Write the tensors of a file as they travel, in the same order.

    Args:
        source: A file with the model's tensors.
        destination: Where the wire's file goes.
        codec: How they travel.

    Returns:
        What that loses, over all tensors that are encoded: the Euclidean norm of the
        difference over that of what was there. 0 if nothing is lost.

    Raises:
        StorageError: CODEC, a finite value is more than the codec can carry; or a file cannot
            be read or written.
    """
    loss = _Loss()
    with TensorReader(source) as reader:
        schema = ModelSchema.from_header(reader.header)
        with TensorWriter(destination, list(schema.encoded(codec))) as writer:
            for info in reader.header.tensors.values():
                buffer = np.empty(min(info.count, _ELEMENTS), numpy_dtype(info.dtype))
                for start in range(0, info.count, _ELEMENTS):
                    block = buffer[: info.count - start]
                    reader.read_into(info.name, start, block)
                    writer.write(info.name, _encoded(codec, info.name, block, loss))
            writer.commit()
    return loss.relative


class _Loss:
    """What encoding loses: sums of squares, of the differences and of all that was encoded."""

    def __init__(self) -> None:
        self._lost = self._all = 0.0

    def add(self, block: npt.NDArray[Any], decoded: npt.NDArray[Any]) -> None:
        """Count a block, as it was and as it will be read."""
        given = block.astype(np.float64)
        self._lost += float(np.square(given - decoded).sum())
        self._all += float(np.square(given).sum())

    @property
    def relative(self) -> float:
        error = math.sqrt(self._lost / self._all) if self._all else 0.0
        return error if math.isfinite(error) else 1.0  # of numbers that are not: refused later


def _encoded(codec: Codec, name: str, block: npt.NDArray[Any], loss: _Loss) -> npt.NDArray[Any]:
    coded = codec.encode(block)
    if coded is block:
        return block
    with np.errstate(over="ignore", invalid="ignore"):
        decoded = codec.decode(coded, np.dtype(np.float64))
        if not np.isfinite(decoded).all() and np.isfinite(block).all():
            msg = (
                f"tensor {name!r} holds {float(np.abs(block).max()):g}, more than the codec "
                f"{codec.name} can carry"
            )
            hint = 'the server\'s "update_codec" has to be "bf16" or "none", or send differences'
            raise StorageError(msg, hint=hint, reason="CODEC")
        loss.add(block, decoded)
    return coded
