# SPDX-License-Identifier: Apache-2.0
"""NaN and infinities are found in every format, wherever a portion ends."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mmar_runner.errors import FormatError, NonFiniteError
from mmar_runner.storage.dtypes import DTYPE_NAMES, numpy_dtype
from mmar_runner.storage.finite import FiniteScanner
from mmar_runner.storage.safetensors_format import encode_header, parse_header

NAME_OF = {numpy_dtype(name): name for name in DTYPE_NAMES}
FLOATS = ["F64", "F32", "F16", "BF16", "F8_E5M2", "F8_E4M3"]


def _scan(arrays: dict[str, npt.NDArray[Any]], *, portion: int = 1 << 20) -> None:
    tensors = [(name, NAME_OF[array.dtype], array.shape) for name, array in arrays.items()]
    data = b"".join(array.tobytes() for array in arrays.values())
    raw = encode_header(tensors)
    scanner = FiniteScanner(parse_header(raw, file_size=len(raw) + len(data)))
    for start in range(0, len(data), portion):
        scanner.feed(data[start : start + portion])


def _every_pattern(dtype: str) -> npt.NDArray[Any]:
    """Return every value of an 8- or 16-bit format."""
    bits = numpy_dtype(dtype).itemsize * 8
    return np.arange(1 << bits, dtype=f"<u{bits // 8}").view(numpy_dtype(dtype))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E5M2", "F8_E4M3"])
def test_every_value_of_a_small_format_is_judged_as_numpy_does(dtype: str) -> None:
    values = _every_pattern(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs are among them
        finite = np.isfinite(values)
    _scan({"a": values[finite]})
    for bad in values[~finite][:64]:
        among = np.ones(3, numpy_dtype(dtype))
        among[1] = bad
        with pytest.raises(NonFiniteError, match="'a'"):
            _scan({"a": among})


@pytest.mark.parametrize("dtype", ["F64", "F32"])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 77, 99])
def test_one_bad_value_is_found(dtype: str, bad: float, at: int) -> None:
    values = np.ones(100, numpy_dtype(dtype))
    values[at] = bad
    with pytest.raises(NonFiniteError, match="tensor 'second'") as caught:
        _scan({"first": np.ones(3, np.float32), "second": values})
    assert caught.value.reason == "NON_FINITE"


@pytest.mark.parametrize("dtype", ["F64", "F32"])
def test_a_signalling_nan_is_found(dtype: str) -> None:
    itemsize = numpy_dtype(dtype).itemsize
    smallest = {8: 0x7FF0_0000_0000_0001, 4: 0x7F80_0001}[itemsize]
    for sign in (0, 1 << (itemsize * 8 - 1)):
        values = np.array([0, smallest | sign], f"<u{itemsize}").view(numpy_dtype(dtype))
        with pytest.raises(NonFiniteError):
            _scan({"a": values})


@pytest.mark.parametrize("dtype", ["F64", "F32"])
def test_the_largest_numbers_and_denormals_pass_though_their_sum_overflows(dtype: str) -> None:
    limits = np.finfo(numpy_dtype(dtype))
    extreme = [limits.max, limits.min, limits.smallest_subnormal, -limits.smallest_subnormal, -0.0]
    _scan({"a": np.array(extreme * 100, numpy_dtype(dtype))})
    _scan({"a": np.full(1000, limits.max, numpy_dtype(dtype))})


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("portion", [1, 3, 7, 64])
def test_portions_may_end_inside_an_element(dtype: str, portion: int) -> None:
    good = np.ones(20, numpy_dtype(dtype))
    bad = good.copy()
    bad[-1] = np.nan
    between = np.arange(5, dtype=np.uint8)
    _scan({"a": good, "odd": between, "none": good[:0], "b": good}, portion=portion)
    with pytest.raises(NonFiniteError, match="'b'"):
        _scan({"a": good, "odd": between, "none": good[:0], "b": bad}, portion=portion)


def test_integers_may_have_any_bits() -> None:
    for itemsize in (1, 2, 4, 8):
        _scan({"a": np.full(9, -1, f"<i{itemsize}")})


def test_a_boolean_is_0_or_1() -> None:
    raw = encode_header([("a", "BOOL", (3,))])
    FiniteScanner(parse_header(raw, file_size=len(raw) + 3)).feed(b"\x00\x01\x01")
    with pytest.raises(FormatError, match="neither 0 nor 1"):
        FiniteScanner(parse_header(raw, file_size=len(raw) + 3)).feed(b"\x00\x02\x01")


def test_it_takes_no_memory_for_what_it_sees() -> None:
    raw = encode_header([("a", "F32", (1 << 20,))])
    chunk = bytes(1 << 20)
    scanner = FiniteScanner(parse_header(raw, file_size=len(raw) + (4 << 20)))
    scanner.feed(chunk)
    tracemalloc.start()
    scanner.feed(memoryview(chunk))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024
