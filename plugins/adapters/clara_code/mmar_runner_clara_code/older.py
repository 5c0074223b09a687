# SPDX-License-Identifier: Apache-2.0
"""An object of older code: built, told of events, and asked what it works on."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_clara_code.importing import forbid_import, let_import

if TYPE_CHECKING:
    from mmar_runner.interfaces.catalog import Blueprint
    from mmar_runner_clara_code.api.context import FLContext

#: What a class that works on weights names, and one that works on differences.
_WEIGHTS: Final = frozenset({"TYPE_WEIGHTS", "WEIGHTS"})
_DIFFERENCES: Final = frozenset({"TYPE_WEIGHT_DIFF", "WEIGHT_DIFF"})


class Older:
    """An object of older code.

    Args:
        code: Builds it.
        methods: What it must have.

    Raises:
        ComponentBuildError: It cannot be imported or built.
        TypeError: It lacks a method.

    Attributes:
        made: The object.
    """

    def __init__(self, code: Blueprint, *methods: str) -> None:
        let_import()
        try:
            self.made: Any = code.build()
            _require(self.made, code.name, methods)
        except BaseException:
            forbid_import()
            raise
        self.name = code.name

    @property
    def works_on(self) -> UpdateKind:
        """What its methods name: weights, if they name these and no differences."""
        named: set[str] = set()
        for cls in type(self.made).__mro__:
            if cls.__module__.startswith(("mmar_runner", "builtins")):
                continue  # what is not its own names both
            for value in vars(cls).values():
                named |= _named(getattr(getattr(value, "__wrapped__", value), "__code__", None))
        if named & _WEIGHTS and not named & _DIFFERENCES:
            return UpdateKind.WEIGHTS
        return UpdateKind.WEIGHT_DIFF

    def tell(self, event: str, context: FLContext) -> None:
        """Tell it of an event, if it hears of any."""
        hears = getattr(self.made, "handle_event", None)
        if callable(hears):
            hears(event, context)

    def close(self) -> None:
        """Take away what it could import."""
        forbid_import()

    def fail(self, what: str) -> TaskFailedError:
        """Return the error for what it did not do as it should."""
        return TaskFailedError(f"{self.name} {what}")


def _require(made: object, name: str, methods: tuple[str, ...]) -> None:
    lacking = [method for method in methods if not callable(getattr(made, method, None))]
    if lacking:
        raise TypeError(f"{name} has no {' and no '.join(lacking)}")


def _named(code: CodeType | None) -> set[str]:
    """Return the names and texts in a function, and in those that stand inside it."""
    if code is None:
        return set()
    found = {*code.co_names, *(value for value in code.co_consts if isinstance(value, str))}
    for inner in code.co_consts:
        found |= _named(inner) if isinstance(inner, CodeType) else set()
    return found
