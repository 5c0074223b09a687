# SPDX-License-Identifier: Apache-2.0
"""A file that somebody replaces while it is in use: looked at again when it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from mmar_runner.errors import MmarRunnerError, StorageError
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")
_Stamp: TypeAlias = tuple[int, int, int, int]

_log = logging.getLogger(__name__)


class FollowedFile:
    """Knows whether a file is another than the one that was taken in last.

    A file that cannot be read, or is wrong, changes nothing; it is told once, as a warning.

    Args:
        path: The file.
        what: What a warning calls it, such as ``the list of revocations``.
        optional: Whether it need not be there, as long as it never was.
        passing: Errors that may be gone at the next look, though the file is the same; what
            else is wrong with it is not looked at again.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        *,
        optional: bool = False,
        passing: tuple[type[MmarRunnerError], ...] = (StorageError,),
    ) -> None:
        self._path = path
        self._what = what
        self._optional = optional
        self._passing = passing
        self._stamp: _Stamp | None = None
        self._warned = ""

    def changed(self, take: Callable[[Path], _T]) -> _T | None:
        """Return what is taken from the file if it changed; None otherwise. Blocks.

        Args:
            take: Reads the file and makes something of it; what it raises on purpose is
                told, and the file counts as it was.
        """
        stamp = None
        try:
            with translated(self._path):
                stamp = self._looked()
            if stamp in {self._stamp, None}:
                return None
            taken = take(self._path)
        except MmarRunnerError as error:
            if not isinstance(error, self._passing):
                self._stamp = stamp
            self._warn(error.message)
            return None
        self._stamp, self._warned = stamp, ""
        return taken

    def _looked(self) -> _Stamp | None:
        """Return what tells one file from another; None if there is none, as there may be."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._optional and self._stamp is None:
                return None
            raise
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino

    def _warn(self, message: str) -> None:
        if message != self._warned:
            self._warned = message
            _log.warning("%s stays as it was: %s", self._what, message)
