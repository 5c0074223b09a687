# SPDX-License-Identifier: Apache-2.0
"""Finds NaN and infinities in a stream of tensor bytes, at the speed of memory.

A floating-point number is not finite exactly when its exponent bits are all ones.
Read as a signed integer, such a positive number is at least that bit pattern; read as
an unsigned one, such a negative number is at least the pattern with the sign bit. So
the largest signed and the largest unsigned element of a block decide, exactly and
without a temporary array, for every format.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmar_runner.errors import FormatError, NonFiniteError
from mmar_runner.storage.dtypes import numpy_dtype

if TYPE_CHECKING:
    from mmar_runner.storage.header import Header, Span


class _Layout(NamedTuple):
    bits: int
    first_non_finite: int  # the smallest positive pattern that is no finite number


_LAYOUTS = MappingProxyType(
    {
        "F64": _Layout(64, 0x7FF0_0000_0000_0000),
        "F32": _Layout(32, 0x7F80_0000),
        "F16": _Layout(16, 0x7C00),
        "BF16": _Layout(16, 0x7F80),
        "F8_E5M2": _Layout(8, 0x7C),
        "F8_E4M3": _Layout(8, 0x7F),  # this format has no infinity and a single NaN
    }
)


class FiniteScanner:
    """Looks at the bytes of a data section as they come, in order, in any portions.

    Boolean tensors are looked at too: a byte other than 0 and 1 is no boolean.

    Args:
        header: The header of the file whose data section follows.
    """

    def __init__(self, header: Header) -> None:
        self._spans = _scanned(header)
        self._current = next(self._spans, None)
        self._position = 0
        self._carry = b""

    def feed(self, data: bytes | memoryview) -> None:
        """See the next bytes of the data section.

        Raises:
            NonFiniteError: Names the tensor that holds NaN or an infinity.
            FormatError: A boolean is neither 0 nor 1.
        """
        view = memoryview(data).cast("B")
        while view and self._current is not None:
            skipped = min(max(self._current.start - self._position, 0), len(view))
            taken = min(self._current.end - self._position - skipped, len(view) - skipped)
            self._position += skipped
            if taken > 0:
                self._scan(self._current, view[skipped : skipped + taken])
                self._position += taken
            view = view[skipped + taken :]
            if self._position == self._current.end:
                self._current = next(self._spans, None)

    def _scan(self, span: Span, view: memoryview) -> None:
        """Check the whole elements of ``view`` and keep what is left of the last one."""
        itemsize = numpy_dtype(span.dtype).itemsize
        position = self._position
        if self._carry:
            begins = position - len(self._carry)
            missing = min(itemsize - len(self._carry), len(view))
            self._carry += bytes(view[:missing])
            view = view[missing:]
            position += missing
            if len(self._carry) == itemsize:
                carry, self._carry = self._carry, b""
                _check(span, memoryview(carry), begins)
        whole = len(view) // itemsize * itemsize
        if whole:
            _check(span, view[:whole], position)
        self._carry += bytes(view[whole:])


def _scanned(header: Header) -> Iterator[Span]:
    return (span for span in header.spans if span.dtype in _LAYOUTS or span.dtype == "BOOL")


def _check(span: Span, view: memoryview, position: int) -> None:
    if span.dtype == "BOOL":
        values = np.frombuffer(view, "u1")
        if values.max() > 1:
            name = span.tensor_at(position + int(values.argmax())).name
            raise FormatError(f"tensor {name!r} holds a boolean that is neither 0 nor 1")
        return
    layout = _LAYOUTS[span.dtype]
    sign = 1 << (layout.bits - 1)
    itemsize = layout.bits // 8
    signed = _aligned(view, itemsize).view(f"<i{itemsize}")
    unsigned = signed.view(f"<u{itemsize}")
    if int(signed.max()) >= layout.first_non_finite or (
        int(unsigned.max()) >= sign + layout.first_non_finite
    ):
        found = (unsigned & (sign - 1)) >= layout.first_non_finite
        name = span.tensor_at(position + int(found.argmax()) * itemsize).name
        raise NonFiniteError(f"tensor {name!r} holds NaN or an infinity")


def _aligned(view: memoryview, itemsize: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    # numpy reads unaligned elements five times slower than it copies them.
    block = np.frombuffer(view, "u1")
    return block if block.ctypes.data % itemsize == 0 else block.copy()
