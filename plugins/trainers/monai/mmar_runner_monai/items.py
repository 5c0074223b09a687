# SPDX-License-Identifier: Apache-2.0
"""Samples whose randomness comes from what asks for them, and from nothing else.

Random transforms draw from generators of their own, which go on from sample to sample: what a
sample becomes would depend on how many processes prepare samples, and on which were prepared
before. Here every sample is asked for with a seed.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import Dataset

from mmar_runner.errors import TaskFailedError
from mmar_runner.hooks.raised import told
from mmar_runner_torch.determinism import seed_everything

_log = logging.getLogger(__name__)

#: A sample's number and the seed with which it is prepared.
Asked = tuple[int, int]
#: Generators of NumPy take seeds below this.
_SEEDS: Final = 1 << 32
#: By what MONAI wraps the failure of a transform.
_WRAPPING: Final = "applying transform"


class SeededItems(Dataset[Any]):
    """The samples of a data set, by number and seed.

    Args:
        dataset: Map-style; a transform of it that draws has ``set_random_state``, as those of
            MONAI have.
        what: How the data set is called in messages.

    Attributes:
        dataset: The data set.
    """

    def __init__(self, dataset: Any, what: str) -> None:
        self.dataset = dataset
        self._what = what
        holders = (getattr(dataset, "transform", None), dataset)
        self._drawing = next((one for one in holders if hasattr(one, "set_random_state")), None)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, asked: Asked) -> Any:
        """Prepare a sample.

        Raises:
            TaskFailedError: A transform failed; the message says on which sample and why.
        """
        number, seed = asked
        try:
            with _seeded(seed):
                if self._drawing is not None:
                    self._drawing.set_random_state(seed=seed % _SEEDS)
                return self.dataset[number]
        except Exception as error:
            raise TaskFailedError(f"{self._what}: sample {number}: {cause_of(error)}") from error


def cause_of(error: BaseException) -> str:
    """Return why a transform failed: which one, and what it was that it raised.

    Args:
        error: What came out; MONAI wraps it once for every transform around.
    """
    wrapped = [error]
    while str(wrapped[-1]).startswith(_WRAPPING) and wrapped[-1].__cause__ is not None:
        wrapped.append(wrapped[-1].__cause__)
    if len(wrapped) == 1:
        return told(error)
    # "applying transform <monai.transforms.io.dictionary.LoadImaged object at 0x7f...>"
    transform = str(wrapped[-2]).removeprefix(_WRAPPING).split()[0].strip("<")
    return f"{transform.rpartition('.')[2]}: {told(wrapped[-1])}"


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what transforms may draw from besides their own generators, and put it back."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seed_everything(seed)
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
        torch.set_rng_state(state[2])
