# SPDX-License-Identifier: Apache-2.0
"""How a suite says that a law is broken: which one, what was expected, and what came.

A bare ``assert`` tells an author of a plugin nothing when pytest does not rewrite it, which
it does not do for an installed package. Each function here fails with a sentence instead.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Values of an array, and letters of anything else, that are shown.
_MOST_VALUES: Final = 6
_MOST_LETTERS: Final = 300


def hold(law: str, kept: object, *, expected: str, got: object) -> None:
    """Fail unless a law is kept.

    Args:
        law: The law, as a sentence without a full stop.
        kept: True in the sense of Python if it is kept.
        expected: What was expected, in words.
        got: What came; arrays are shown with element type, shape and first values.

    Raises:
        AssertionError: It is broken.
    """
    __tracebackhide__ = True
    if not kept:
        raise AssertionError(f"{law}: expected {expected}, got {shown(got)}")


def same(law: str, expected: object, got: object) -> None:
    """Fail unless two things are equal; of bytes and arrays, bit for bit.

    Raises:
        AssertionError: They differ.
    """
    __tracebackhide__ = True
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        _same_arrays(law, expected, got)
        return
    hold(law, expected == got, expected=shown(expected), got=got)


def near(
    law: str,
    expected: npt.ArrayLike,
    got: npt.ArrayLike,
    *,
    rtol: float,
    atol: float = 0.0,
) -> None:
    """Fail unless every element is within a tolerance of the one expected.

    Args:
        law: As for `hold`.
        expected: The values that are right.
        got: What came, of the same shape.
        rtol: Allowed difference as a part of the value expected.
        atol: Allowed difference beside that.

    Raises:
        AssertionError: The shapes differ, or an element is too far away; the worst is named.
    """
    __tracebackhide__ = True
    wanted, came = np.asarray(expected), np.asarray(got)
    hold(law, wanted.shape == came.shape, expected=shown(wanted), got=came)
    fits = np.isclose(came, wanted, rtol=rtol, atol=atol, equal_nan=True)
    if not fits.all():
        _differ(law, wanted, came, ~fits, f" (allowed: {rtol:g} of it and {atol:g})")


def shown(value: object) -> str:
    """Return a value as a report may hold it: short, and an array with type and shape."""
    if isinstance(value, np.ndarray | np.generic):
        few = np.asarray(value).reshape(-1)[:_MOST_VALUES].tolist()
        more = ", ..." if value.size > _MOST_VALUES else ""
        values = ", ".join(str(one) for one in few) + more
        return f"{value.dtype} of shape {value.shape} with [{values}]"
    text = repr(value)
    if len(text) <= _MOST_LETTERS:
        return text
    size = f" ({len(value)} in all)" if isinstance(value, Sized) else ""
    return f"{text[:_MOST_LETTERS]}...{size}"


def _same_arrays(law: str, expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> None:
    __tracebackhide__ = True
    alike = expected.dtype == got.dtype and expected.shape == got.shape
    hold(law, alike, expected=shown(expected), got=got)
    if expected.tobytes() == got.tobytes():
        return
    wanted, came = (a.reshape(-1).view(np.uint8).reshape(a.size, -1) for a in _whole(expected, got))
    _differ(law, expected, got, (wanted != came).any(axis=1).reshape(expected.shape), "")


def _whole(*arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [np.ascontiguousarray(array) for array in arrays]


def _differ(
    law: str, wanted: npt.NDArray[Any], came: npt.NDArray[Any], where: npt.NDArray[Any], note: str
) -> None:
    """Raise: name the first element that differs, and how many do."""
    __tracebackhide__ = True
    place = tuple(int(i) for i in np.argwhere(where)[0])
    raise AssertionError(
        f"{law}: {int(where.sum())} of {where.size} elements differ, the first at {place}: "
        f"expected {wanted[place]!r}, got {came[place]!r}{note}; "
        f"all: expected {shown(wanted)}, got {shown(came)}"
    )
