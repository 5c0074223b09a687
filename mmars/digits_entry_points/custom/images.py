# SPDX-License-Identifier: Apache-2.0
"""The images of one site: handwritten digits that scikit-learn carries in its package."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]
_HELD_OUT = 0.3


def images(part: Literal["train", "held_out"]) -> Arrays:
    """Return pixels ``[images, 64]``, 0 to 1, and digits ``[images]`` of this site.

    ``SITE_INDEX``, ``NUM_SITES`` and ``DATA_SEED`` say which: every site has its own.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("scikit-learn, which carries the images, is not installed")
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    table = np.loadtxt(folder / "digits.csv.gz", delimiter=",")
    order = np.random.default_rng(int(os.environ["DATA_SEED"])).permutation(len(table))
    cut = int(len(table) * _HELD_OUT)
    chosen = order[:cut] if part == "held_out" else order[cut:]
    sites = int(os.environ["NUM_SITES"])
    own = chosen[(int(os.environ["SITE_INDEX"]) - 1) % sites :: sites]
    return np.float32(table[own, :-1] / 16), table[own, -1].astype(int)
