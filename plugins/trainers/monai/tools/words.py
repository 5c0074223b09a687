# SPDX-License-Identifier: Apache-2.0
"""Which words an argument can be, where MONAI has an enumeration of them."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from monai.utils import enums

Words = list[str | int | None]

#: Whatever a transform samples or resizes by; a spline's order is a number, or its text.
_INTERPOLATION: Final = ("GridSampleMode", "InterpolateMode", "SplineMode")
#: What is beyond an image: transforms translate between the words of numpy, scipy and torch.
_PADDING: Final = ("GridSamplePadMode", "NdimageMode", "NumpyPadMode", "PytorchPadMode")
#: Arguments of transforms that are such words, whose annotations are plain text.
_PADDED: Final = ("padding_mode", "grid_padding_mode", "pad_mode")
_SAMPLED: Final = ("mode", "grid_mode", "field_mode")
#: Transforms whose ``mode`` is of another kind.
_OTHERS: Final = re.compile("ConvertBox|UltrasoundConfidenceMap")
#: The enumeration whose words count in either case.
_UNCASED: Final = "HoVerNetMode"
_PLAIN: Final = {"str", "None", "Optional", "Union", "Sequence", "list", "tuple"}


def words_of(kind: str, name: str, argument: str, annotation: str, default: Any) -> Words | None:
    """Return the words that an argument can be; None if no enumeration of MONAI's says so.

    Args:
        kind: Of the class.
        name: Its name.
        argument: The argument's.
        annotation: The argument's type, as text.
        default: Its default.
    """
    named = re.findall(r"[A-Za-z_]+", annotation)
    found = [one for one in named if _is_enumeration(one)]
    if found and set(named) <= {*found, *_PLAIN}:
        words = _values(*found)
        return [*words, *map(str.lower, map(str, words))] if _UNCASED in found else words
    if kind != "transform" or _OTHERS.match(name):
        return None
    if argument in _PADDED:
        return padding()
    if argument in _SAMPLED:
        return _spatial() if str(getattr(default, "value", default)) in _spatial() else padding()
    return {"method": _values("Method"), "size_mode": ["all", "longest"]}.get(argument)


def closed(schema: dict[str, Any], words: Words) -> dict[str, Any]:
    """Return the schema of text, or of a list of texts, that can be these words alone."""
    stated = schema.get("type", "string")
    types = {stated} if isinstance(stated, str) else set(stated)
    spline = 0 in words and (types & {"array", "integer"})
    allowed: Words = [one for one in words if spline or not isinstance(one, int)]
    allowed += [None] if "null" in types else []
    if "array" not in types:
        return {"enum": allowed}
    one = {"type": ["string", "integer"] if spline else "string", "enum": allowed}
    return {"anyOf": [one, {"type": "array", "items": {"enum": [*allowed, None]}}]}


def padding() -> Words:
    """Return what may be beyond an image."""
    return _values(*_PADDING)


def _spatial() -> Words:
    splines = [int(one) for one in _values("SplineMode") if one is not None]
    return [*_values(*_INTERPOLATION), *splines]


def interpolation() -> Words:
    """Return how may be sampled where only text can be written."""
    return _values("GridSampleMode", "InterpolateMode", "SplineMode")


def _is_enumeration(name: str) -> bool:
    found = getattr(enums, name, None)
    return isinstance(found, type) and issubclass(found, Enum)


def _values(*names: str) -> Words:
    found = [str(one.value) for name in names for one in getattr(enums, name)]
    return list(dict.fromkeys(found))
