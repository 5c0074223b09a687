# SPDX-License-Identifier: Apache-2.0
"""ExcludeVars: some tensors never leave the site."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.filter import Filter

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext


class ExcludeVars(Filter):
    """Tensors that are named keep the received model's values, to the bit.

    A name that is nowhere found fails the task: a slip of the pen must not let a tensor out.

    Args:
        exclude_vars: Names of tensors, exactly; or a regular expression, searched in names.

    Raises:
        ValueError: There is no name, or the expression is none.
    """

    on_differences: ClassVar[bool] = True

    def __init__(self, exclude_vars: str | list[str]) -> None:
        if not exclude_vars:
            raise ValueError("exclude_vars is empty: no tensor would be excluded")
        self._written = exclude_vars
        self._names = frozenset(() if isinstance(exclude_vars, str) else exclude_vars)
        self._expression = _compiled(exclude_vars) if isinstance(exclude_vars, str) else None
        self._found: set[str] = set()

    def begin(self, context: FilterContext) -> None:
        """Forget what was found in the last update."""
        del context
        self._found = set()

    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return no difference for what is excluded, and the tensor itself else."""
        if not self._excludes(name):
            return tensor
        self._found.add(name)
        return np.zeros_like(tensor)

    def finish(self) -> Mapping[str, float]:
        """Look whether everything was there.

        Raises:
            TaskFailedError: A name, or what the expression looks for, is in no tensor.
        """
        missing = sorted(self._names - self._found) if self._names else []
        if missing or not self._found:
            what = ", ".join(map(repr, missing)) or repr(self._written)
            raise TaskFailedError(
                f"ExcludeVars finds no tensor {what} in the update, which so would leave whole",
                hint="exclude_vars holds exact names in a list, or one regular expression",
            )
        return {}

    def _excludes(self, name: str) -> bool:
        if self._expression is None:
            return name in self._names
        return self._expression.search(name) is not None


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        message = f"exclude_vars {pattern!r} is not a regular expression: {error}"
        raise ValueError(message) from error
