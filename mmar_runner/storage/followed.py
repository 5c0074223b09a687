# SPDX-License-Identifier: Apache-2.0
"""Files that somebody replaces while they are in use: looked at again when they change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from mmar_runner.errors import MmarRunnerError, StorageError
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")
#: What tells files from others, without a look at their bytes.
Stamp: TypeAlias = tuple[tuple[int, int, int, int], ...]

_log = logging.getLogger(__name__)


def stamp_of(*paths: Path) -> Stamp:
    """Return what changes when one of the files does.

    Raises:
        OSError: One cannot be looked at.
    """
    stats = [path.stat() for path in paths]
    # Whoever replaces a file may keep its date and size; nobody sets the ctime.
    return tuple((stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino) for stat in stats)


class FollowedFiles:
    """Knows whether files are others than those that were taken in last.

    Files that cannot be read, or are wrong, change nothing: what is in force stays. That is
    told once for every change of state, and once when all is well again. Not safe for threads.

    Args:
        paths: The files; what is told names the first of them.
        what: What they are called there, such as ``the list of revocations``.
        optional: Whether they need not be there, as long as they never were.
        passing: Errors that may be gone at the next look, though the files are the same; what
            else is wrong with them is not looked at again.
    """

    def __init__(
        self,
        *paths: Path,
        what: str,
        optional: bool = False,
        passing: tuple[type[MmarRunnerError], ...] = (StorageError,),
    ) -> None:
        self._paths = paths
        self._what = what
        self._optional = optional
        self._passing = passing
        self._taken: Stamp | None = None
        self._wrong: Stamp | None = None
        self._told = ""
        self._since = 0.0

    @property
    def unusable_seconds(self) -> float:
        """For how long they cannot be used, as far as was looked; 0.0 if they can."""
        return time.monotonic() - self._since if self._told else 0.0

    def changed(self, take: Callable[[], _T], news: Callable[[_T], str] | None = None) -> _T | None:
        """Return what is taken from the files if they changed; None otherwise. Blocks.

        Args:
            take: Reads the files and makes something of them; what it raises on purpose is
                told, and the files count as they were.
            news: Says as a clause what is worth telling of what was taken; empty if nothing.
        """
        stamp = None
        try:
            stamp = self._looked()
            if stamp in {None, self._wrong}:
                return None
            if stamp == self._taken:
                self._well()
                return None
            taken = take()
        except MmarRunnerError as error:
            if not isinstance(error, self._passing):
                self._wrong = stamp
            self._complain(error.message)
            return None
        # Only what can be used counts as seen: a mended file need not look changed.
        self._taken, self._wrong = stamp, None
        self._well("" if news is None else news(taken))
        return taken

    def _looked(self) -> Stamp | None:
        """Return the files' stamp; None if they are not there, as may be."""
        never = self._taken is None and self._wrong is None
        with translated(self._paths[0]):
            try:
                return stamp_of(*self._paths)
            except FileNotFoundError:
                if self._optional and never:
                    return None
                raise

    def _complain(self, message: str) -> None:
        if message != self._told:
            self._since = self._since if self._told else time.monotonic()
            self._told = message
            _log.warning("%s stays as it was: %s", self._what, message)

    def _well(self, news: str = "") -> None:
        mended = f"{self._what} can be used again" if self._told else ""
        self._told = ""
        if said := ", and ".join(filter(None, (mended, news))):
            # As loud as the complaint that it takes back.
            _log.warning("%s: %s", said, self._paths[0])
