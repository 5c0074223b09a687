# SPDX-License-Identifier: Apache-2.0
"""The tables that scikit-learn carries in its package, read without importing it.

Importing scikit-learn with what it needs takes as long as importing torch, and a trainer's
process would do it for one file of numbers.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_PACKAGE: Final = "sklearn"

Table = npt.NDArray[np.float64]


def read_table(file: str, *, head: int = 0) -> tuple[Table, npt.NDArray[Any]]:
    """Return what a table says of each case, and the class in its last column.

    Args:
        file: Its name in scikit-learn's folder of data.
        head: Lines before the first case.

    Returns:
        Features ``[cases, features]`` and labels ``[cases]``, as scikit-learn's own functions
        return them.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        FileNotFoundError: It has no such table.
    """
    table = np.loadtxt(_data() / file, delimiter=",", skiprows=head)
    return table[:, :-1], table[:, -1].astype(int)


def _data() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {_PACKAGE}", name=_PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"
