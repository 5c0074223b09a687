# SPDX-License-Identifier: Apache-2.0
"""A file of this machine that an answer is written into."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.errors import UsageError
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from mmar_runner.console.typed_line import Redirect


@contextmanager
def redirected(redirect: Redirect) -> Iterator[TextIO]:
    """Open the file of a redirect for the block; an earlier text in it is replaced.

    Raises:
        UsageError: It is there and no regular file: a folder, a link, a device, a pipe.
        StorageError: It cannot be written.
    """
    path = Path(redirect.path)
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise _no_file(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with translated(path):
        descriptor = os.open(path, flags | (os.O_APPEND if redirect.append else 0), 0o666)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open
            # What was looked at may be another file by now.
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _no_file(path)
            if not redirect.append:
                file.truncate(0)
            yield file


def _no_file(path: Path) -> UsageError:
    msg = f"{path} is there, and it is no regular file: nothing is written over it"
    return UsageError(msg, hint="name another file; nothing was ordered")
