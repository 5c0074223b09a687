# SPDX-License-Identifier: Apache-2.0
"""The newest list of what is revoked, read again when its file changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mmar_runner.errors import MmarRunnerError
from mmar_runner.security.revocation import read_revocations
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.security.revocation import RevocationList

_log = logging.getLogger(__name__)


class Revocations:
    """What the project has revoked.

    A lower version than one that was seen, or a list that is not the project's, is
    passed over with a warning: whoever can write the file cannot take a revocation back.

    Args:
        path: The signed list.
        root_pem: The project's root certificate.

    Attributes:
        current: The newest list.
        signed: Its bytes, for clients.

    Raises:
        SignatureError: The list is not the project's.
        StorageError: It cannot be read.
    """

    def __init__(self, path: Path, root_pem: bytes) -> None:
        self._path = path
        self._root_pem = root_pem
        self._stamp = self._look()
        self.current, self.signed = self._read()

    def refresh(self) -> bool:
        """Read the file again if it changed; return True if there is a newer list."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            newer, signed = self._read()
        except MmarRunnerError as error:
            _log.warning("the list of revocations stays as it was: %s", error.message)
            return False
        if newer.version <= self.current.version:
            if signed != self.signed:
                _log.warning("%s is no newer than the list in force", self._path)
            return False
        self.current, self.signed = newer, signed
        return True

    def _look(self) -> tuple[int, int, int]:
        with translated(self._path):
            found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[RevocationList, bytes]:
        with translated(self._path):
            signed = self._path.read_bytes()
        return read_revocations(signed, self._root_pem), signed
