# SPDX-License-Identifier: Apache-2.0
"""Lets the disk begin with a file's bytes while more of them come.

A sync at the end waits until every byte is on the disk. What the system was asked to
write out before is there already, or under way: the sync has little left. Asking promises
nothing, so the sync stays. Where the system cannot be asked, nothing happens.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes after which the disk is asked to begin.
PORTION_BYTES: Final = 4 << 20
#: ``SYNC_FILE_RANGE_WRITE`` of ``linux/fs.h``: begin to write, and wait for nothing.
_BEGIN: Final = 2


class WriteOut:
    """Follows a file that is written in order.

    Args:
        wanted: Whether the file will be synced; if not, nothing happens.
        offset: How many bytes are there already.
    """

    def __init__(self, *, wanted: bool, offset: int = 0) -> None:
        self._begin = _sync_file_range() if wanted else None
        self._asked = offset

    def wrote(self, descriptor: int, offset: int) -> None:
        """Say that the bytes before ``offset`` are written; ask for them now and then."""
        length = offset - self._asked
        if self._begin is None or length < PORTION_BYTES:
            return
        # A refusal is no matter: the sync at the end tells what is wrong with the disk.
        self._begin(descriptor, self._asked, length, _BEGIN)
        self._asked = offset


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Return the system call, or None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    function.restype = ctypes.c_int
    call: Callable[[int, int, int, int], int] = function
    return call
