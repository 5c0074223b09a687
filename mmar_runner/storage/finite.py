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

if TYPE_CHECKING:
    from mmar_runner.storage.header import Header, TensorInfo


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
        self._tensors = self._scanned(header)
        self._current = next(self._tensors, None)
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
            if taken > 0:
                self._scan(self._current, view[skipped : skipped + taken])
            self._position += skipped + taken
            view = view[skipped + taken :]
            if self._position == self._current.end:
                self._current = next(self._tensors, None)

    @staticmethod
    def _scanned(header: Header) -> Iterator[TensorInfo]:
        for tensor in header.tensors.values():
            if tensor.end > tensor.start and (tensor.dtype in _LAYOUTS or tensor.dtype == "BOOL"):
                yield tensor

    def _scan(self, tensor: TensorInfo, view: memoryview) -> None:
        """Check the whole elements of ``view`` and keep what is left of the last one."""
        itemsize = tensor.itemsize
        if self._carry:
            missing = min(itemsize - len(self._carry), len(view))
            self._carry += bytes(view[:missing])
            view = view[missing:]
            if len(self._carry) == itemsize:
                carry, self._carry = self._carry, b""
                _check(tensor, memoryview(carry))
        whole = len(view) // itemsize * itemsize
        if whole:
            _check(tensor, view[:whole])
        self._carry += bytes(view[whole:])


def _check(tensor: TensorInfo, view: memoryview) -> None:
    if tensor.dtype == "BOOL":
        if np.frombuffer(view, "u1").max() > 1:
            raise FormatError(f"tensor {tensor.name!r} holds a boolean that is neither 0 nor 1")
        return
    layout = _LAYOUTS[tensor.dtype]
    sign = 1 << (layout.bits - 1)
    itemsize = layout.bits // 8
    signed = _aligned(view, itemsize).view(f"<i{itemsize}")
    if int(signed.max()) >= layout.first_non_finite or (
        int(signed.view(f"<u{itemsize}").max()) >= sign + layout.first_non_finite
    ):
        raise NonFiniteError(f"tensor {tensor.name!r} holds NaN or an infinity")


def _aligned(view: memoryview, itemsize: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    # numpy reads unaligned elements five times slower than it copies them.
    block = np.frombuffer(view, "u1")
    return block if block.ctypes.data % itemsize == 0 else block.copy()
