# SPDX-License-Identifier: Apache-2.0
"""The newest list of what is revoked, looked at again when its file changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.security.pki.revocation import MAX_LIST_BYTES
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.bounded import read_bounded
from mmar_runner.storage.followed import FollowedFiles

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.pki.revocation import RevocationList, RevocationMemory


class Revocations:
    """What the project has revoked.

    A list that is older than one that was seen, or is not the project's, is passed over
    with a warning: whoever can write the file cannot take a revocation back.

    Args:
        path: The signed list, which the project's office replaces.
        memory: Knows the newest list that was ever seen here.
    """

    def __init__(self, path: Path, memory: RevocationMemory) -> None:
        # It may have changed since the memory read it: the first look reads it again.
        self._file = FollowedFiles(path, what="the list of revocations")
        self._path = path
        self._memory = memory

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
        return bool(self._file.changed(self._offered))

    def _offered(self) -> bool:
        with translated(self._path):
            data = read_bounded(self._path, MAX_LIST_BYTES)
        return self._memory.offer(data)
