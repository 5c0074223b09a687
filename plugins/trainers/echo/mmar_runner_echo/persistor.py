# SPDX-License-Identifier: Apache-2.0
"""A model that is nothing but its size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts
from mmar_runner.storage.safetensors_format import encode_header
from mmar_runner_echo.blocks import BLOCK_BYTES, write_all, writing

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_ITEM = 4  # bytes of a float32


class EchoModelPersistor(ModelPersistor):
    """Makes a model of float32 arrays of nearly equal length.

    Args:
        size_mb: Size of all arrays together, in MB (1,000,000 bytes).
        arrays: How many arrays there are; each holds at least one element.
        initial: ``random`` draws the first values from the seed, ``zeros`` does not.
    """

    def __init__(self, size_mb: float = 1.0, arrays: int = 20, initial: str = "random") -> None:
        total = max(round(size_mb * 1_000_000 / _ITEM), arrays)
        self._counts = [total // arrays + (i < total % arrays) for i in range(arrays)]
        self._random = initial == "random"

    def initial_model(self, destination: Path, *, seed: int) -> None:
        """Write the model; the same seed gives the same bytes."""
        header = encode_header([(name, "F32", (count,)) for name, count in self._arrays()])
        rng = np.random.default_rng(seed)
        with writing(destination) as output:
            write_all(output, memoryview(header))
            for count in self._counts:
                for begin in range(0, count, BLOCK_BYTES // _ITEM):
                    block = self._block(min(BLOCK_BYTES // _ITEM, count - begin), rng)
                    write_all(output, block.view(np.uint8).data)

    def describe(self) -> NetworkFacts:
        """Return what the arrays are."""
        return NetworkFacts({name: TensorFacts("F32", (count,)) for name, count in self._arrays()})

    def _arrays(self) -> Iterator[tuple[str, int]]:
        for index, count in enumerate(self._counts):
            yield f"array_{index:04d}", count

    def _block(self, size: int, rng: np.random.Generator) -> npt.NDArray[Any]:
        if self._random:
            return rng.standard_normal(size, dtype=np.float32)
        return np.zeros(size, dtype=np.float32)
