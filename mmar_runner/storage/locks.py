# SPDX-License-Identifier: Apache-2.0
"""One at a time: files whose lock a process holds while it reads, decides and writes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmar_runner.storage.atomic import translated


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes, and other threads, out of a block; wait until they are out of it.

    Args:
        path: The lock's file; it is made (mode 0600), and stays.

    Raises:
        StorageError: It cannot be made, or is a link or not a regular file.
    """
    with translated(path):
        descriptor = open_lock(path)
    try:
        with translated(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """Return the descriptor of a lock's file, which nobody can have put elsewhere.

    Raises:
        OSError: It cannot be made; ELOOP if it is a link or not a regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.ELOOP, "it is a link or not a regular file")
    return descriptor
