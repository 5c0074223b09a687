# SPDX-License-Identifier: Apache-2.0
"""Reading files that somebody else may have written: bounded, and never waiting."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def require_regular(status: os.stat_result) -> None:
    """Refuse what is not a regular file: a pipe never ends, and a folder has no bytes.

    Raises:
        OSError: EINVAL.
    """
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


@contextmanager
def opened(
    path: Path, *, judge: Callable[[os.stat_result], None] = require_regular
) -> Iterator[BinaryIO]:
    """Open a file for reading, in bytes.

    Args:
        path: The file; a link is followed.
        judge: Sees the status of the open file before a byte is read, and raises what
            it finds wrong.

    Raises:
        OSError: It is missing, cannot be read, or is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        judge(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_bounded(
    path: Path, limit: int, *, judge: Callable[[os.stat_result], None] = require_regular
) -> bytes:
    """Return a file's content.

    Args:
        path: The file; a link is followed.
        limit: The most bytes that the caller accepts. Of a longer file its first
            ``limit`` + 1 bytes are returned, by which the caller knows it.
        judge: As for `opened`.

    Raises:
        OSError: As `opened`.
    """
    with opened(path, judge=judge) as file:
        return file.read(limit + 1)
