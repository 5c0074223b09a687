# SPDX-License-Identifier: Apache-2.0
"""Opens a file to read it, whoever wrote it: never a pipe, a device or a folder in its place.

A pipe that nobody writes to would hold whoever opens it for ever, and a device has no end.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from pathlib import Path

#: Of a pipe, opening waits for nobody; reading of a plain file is as it is without.
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def open_plain(path: Path, *, links: bool = True) -> int:
    """Return a descriptor that reads a plain file; whoever asked closes it.

    Args:
        path: The file.
        links: Whether a link to one will do. It will not where another process writes: what
            it leads to may be anything that this one may read.

    Raises:
        StorageError: It is not there, may not be read, or is no plain file.
    """
    with translated(path):
        if not links and path.is_symlink():
            raise StorageError(f"{path} is a link, not a file")
        descriptor = os.open(path, _READ | (0 if links else os.O_NOFOLLOW))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise StorageError(f"{path} is not a plain file")
