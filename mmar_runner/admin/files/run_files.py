# SPDX-License-Identifier: Apache-2.0
"""Which of a run's files an administrator may fetch, opened without following a link.

What lies below ``run_N/`` is for whoever may see the run: its models, its results, its logs.
Not what is secret or belongs to a site: keys, the journal and the updates in it, audit logs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import NotAuthorizedError
from mmar_runner.security.packages.names import name_problem
from mmar_runner.storage.atomic import translated

_RUN: Final = re.compile(r"run_([1-9][0-9]{0,8})")
_DEPTH: Final = 20
_SHOWN: Final = 200
#: What nobody fetches: secrets, what single sites sent, and what is being written.
_REFUSED: Final = re.compile(
    r"audit\.jsonl.*|journal\.db.*|orders\.json|.*\.(key|pem|crt|tmp|part)|\.lock", re.IGNORECASE
)
_UPDATES: Final = "updates"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class RunPath:
    """A path below a run's folder.

    Attributes:
        number: The run's.
        parts: The names below the workspace, ``run_N`` first.
    """

    number: int
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last one."""
        return self.parts[-1]

    def keeps(self, inner: str = "") -> bool:
        """Return True if the server gives something at or below it to nobody.

        Args:
            inner: A path relative to this one; empty for itself.
        """
        below = (*self.parts, *inner.split("/"))[1:]
        return below[:1] == (_UPDATES,) or any(_REFUSED.fullmatch(part) for part in below)

    def __str__(self) -> str:
        """Return it as it is typed."""
        return "/".join(self.parts)


def run_path(text: str) -> RunPath:
    """Return the path that somebody typed.

    Raises:
        NotAuthorizedError: PATH, it is none below a run, or one that nobody fetches.
    """
    parts = tuple(text.removesuffix("/").split("/"))
    found = _RUN.fullmatch(parts[0])
    if found is None or name_problem("/".join(parts), depth=_DEPTH) is not None:
        raise _wrong(text, "is no path below a run")
    path = RunPath(int(found[1]), parts)
    if path.keeps():
        raise _wrong(text, "is nothing that a server gives away")
    return path


@contextmanager
def opened(workspace: Path, path: RunPath) -> Iterator[int]:
    """Open a file or a folder below a workspace for the block, following no link.

    Raises:
        NotAuthorizedError: PATH, it is not there, or neither a plain file nor a folder.
        StorageError: It cannot be opened.
    """
    with translated(workspace):
        here = os.open(workspace, _FOLDER)
    try:
        for position, part in enumerate(path.parts, 1):
            flags = _FILE if position == len(path.parts) else _FOLDER
            try:
                below = os.open(part, flags, dir_fd=here)
            except OSError as error:
                raise _wrong(str(path), "is not there, or a link") from error
            os.close(here)
            here = below
        mode = os.fstat(here).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise _wrong(str(path), "is neither a file nor a folder")
        yield here
    finally:
        os.close(here)


def _wrong(text: str, what: str) -> NotAuthorizedError:
    hint = "such as run_1/summary.json, run_1/models or run_1/logs; `ls server` lists what is there"
    return NotAuthorizedError(f"{printable(text)[:_SHOWN]!r} {what}", hint=hint, reason="PATH")
