# SPDX-License-Identifier: Apache-2.0
"""The folder ``authority/``: whose files lie in it, and one process at a time with them."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mmar_runner.errors import KitError
from mmar_runner.security.kits.folders import own_folder, refuse_changeable
from mmar_runner.security.pki.revocation import REVOCATIONS_FILE
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.locks import open_lock

AUTHORITY_FOLDER: Final = "authority"
KEY_FILE: Final = "root.key"
ROOT_FILE: Final = "rootCA.pem"
STATE_FILE: Final = "state.json"
AUTHORIZATION_FILE: Final = "authorization.json"
_LOCK: Final = "lock"


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Make the folder, or look whose it is and what lies in it, and keep others out of it.

    Args:
        folder: ``authority/``.

    Raises:
        KitError: It, the folder around it or a file in it is, or can be changed by,
            somebody else (KIT_WRITABLE), or is a link or no regular file (KIT_LINK).
        StorageError: The disk refuses.
    """
    own_folder(folder, tighten=True)
    lock = _opened_lock(folder / _LOCK)
    try:
        with translated(folder / _LOCK):
            fcntl.flock(lock, fcntl.LOCK_EX)
        _check_files(folder)
        yield
    finally:
        os.close(lock)


def _check_files(folder: Path) -> None:
    """Refuse what counts here and is no file of ours; of the key, who reads it judges."""
    for name in (ROOT_FILE, STATE_FILE, REVOCATIONS_FILE, AUTHORIZATION_FILE):
        path = folder / name
        with translated(path):
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
        if not stat.S_ISREG(status.st_mode):
            raise _planted(path)
        refuse_changeable(path, status)


def _opened_lock(path: Path) -> int:
    with translated(path):
        try:
            return open_lock(path)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise _planted(path) from error


def _planted(path: Path) -> KitError:
    return KitError(
        f"{path} is a link or not a regular file",
        hint="find out who put it there, and take it away",
        reason="KIT_LINK",
    )
