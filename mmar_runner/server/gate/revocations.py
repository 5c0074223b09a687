# SPDX-License-Identifier: Apache-2.0
"""The newest list of what is revoked, looked at again when its file changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from mmar_runner.errors import MmarRunnerError, StorageError
from mmar_runner.security.pki.revocation import MAX_LIST_BYTES
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.pki.revocation import RevocationList, RevocationMemory

_Stamp: TypeAlias = tuple[int, int, int, int]

_log = logging.getLogger(__name__)


class Revocations:
    """What the project has revoked.

    A list that is older than one that was seen, or is not the project's, is passed over
    with a warning: whoever can write the file cannot take a revocation back.

    Args:
        path: The signed list, which the project's office replaces.
        memory: Knows the newest list that was ever seen here.
    """

    def __init__(self, path: Path, memory: RevocationMemory) -> None:
        self._path = path
        self._memory = memory
        # The file may have changed since the memory read it: the first look reads it again.
        self._stamp: _Stamp | None = None
        self._warned = ""

    @property
    def current(self) -> RevocationList:
        """The newest list."""
        return self._memory.current

    @property
    def signed(self) -> bytes:
        """The newest list as it is handed on to clients."""
        return self._memory.data

    def refresh(self) -> bool:
        """Look at the file again if it changed; return True if there is a newer list."""
        stamp = None
        try:
            with translated(self._path):
                stamp = _stamp(self._path)
                if stamp == self._stamp:
                    return False
                data = read_bounded(self._path, MAX_LIST_BYTES)
            newer = self._memory.offer(data)
        except MmarRunnerError as error:
            if not isinstance(error, StorageError):  # what the disk refused may work next time
                self._stamp = stamp
            self._warn(error.message)
            return False
        self._stamp, self._warned = stamp, ""
        return newer

    def _warn(self, message: str) -> None:
        """Say once why the list in force stays."""
        if message != self._warned:
            self._warned = message
            _log.warning("the list of revocations stays as it was: %s", message)


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
