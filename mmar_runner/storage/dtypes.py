# SPDX-License-Identifier: Apache-2.0
"""The element types of the safetensors profile, and their numpy counterparts."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np

from mmar_runner.errors import FormatError

_DTYPES: MappingProxyType[str, np.dtype[Any]] = MappingProxyType(
    {
        "F64": np.dtype("<f8"),
        "F32": np.dtype("<f4"),
        "F16": np.dtype("<f2"),
        "BF16": np.dtype(ml_dtypes.bfloat16),
        "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
        "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
        "I64": np.dtype("<i8"),
        "I32": np.dtype("<i4"),
        "I16": np.dtype("<i2"),
        "I8": np.dtype("i1"),
        "U8": np.dtype("u1"),
        "BOOL": np.dtype(np.bool_),
    }
)
#: Every accepted dtype, by its name in a safetensors header.
DTYPE_NAMES = tuple(_DTYPES)


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Return the numpy dtype of a safetensors dtype; bf16 and fp8 come from ml_dtypes.

    Raises:
        FormatError: The profile does not know the name.
    """
    try:
        return _DTYPES[dtype]
    except KeyError:
        known = ", ".join(_DTYPES)
        raise FormatError(f"dtype {dtype!r} is not accepted; known are {known}") from None


def holds_fractions(dtype: str) -> bool:
    """Return whether a safetensors dtype is a floating one.

    Raises:
        FormatError: The profile does not know the name.
    """
    found = numpy_dtype(dtype)
    return found != np.bool_ and not np.issubdtype(found, np.integer)
