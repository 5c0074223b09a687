# SPDX-License-Identifier: Apache-2.0
"""Folders that hold keys or what a participant remembers: made for their owner alone."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import KitError
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.owners import is_ours

if TYPE_CHECKING:
    from pathlib import Path

_OWNER_ONLY: Final = 0o700
_PARENT: Final = 0o755
_OTHERS_WRITE: Final = 0o022
#: What opening a link, or what is no folder, ends with.
_NO_FOLDER: Final = frozenset({errno.ELOOP, errno.ENOTDIR})


def own_folder(folder: Path, *, tighten: bool) -> None:
    """Make a folder with mode 0700, whatever the umask; or look at the one that is there.

    Folders above it that are missing are made so that nobody else can change them. The one
    that it lies in must be such, or keep what lies in it from being exchanged, as /tmp does.

    Args:
        folder: The folder.
        tighten: True to take everybody else's rights to one that is there; otherwise it
            is refused if others can change it.

    Raises:
        KitError: It is a link or no folder (KIT_LINK), or others can change it, or the
            folder it lies in (KIT_WRITABLE).
        StorageError: The disk refuses.
    """
    with translated(folder):
        for parent in reversed(folder.parents):
            if not parent.exists():
                parent.mkdir(mode=_PARENT, exist_ok=True)
        refuse_changeable(folder.parent, folder.parent.stat(), sticky=True)
        with suppress(FileExistsError):  # what is there, the open one tells
            folder.mkdir(mode=_OWNER_ONLY)
        descriptor = _opened(folder)
        try:
            _look_at(folder, descriptor, tighten=tighten)
        finally:
            os.close(descriptor)


def refuse_changeable(path: Path, status: os.stat_result, *, sticky: bool = False) -> None:
    """Refuse what somebody besides this user and root can change.

    Args:
        path: What it is.
        status: Its status.
        sticky: True for a folder in which others may have files of their own, if it is
            sticky: then nobody can exchange ours.

    Raises:
        KitError: KIT_WRITABLE.
    """
    if not is_ours(status):
        raise KitError(
            f"{path} belongs to somebody else (user id {status.st_uid}), who can change it",
            hint="find out who put it there, and take it away; only if it is yours after all, "
            f"chown {os.geteuid()} {path}",
            reason="KIT_WRITABLE",
        )
    if status.st_mode & _OTHERS_WRITE and not (sticky and status.st_mode & stat.S_ISVTX):
        raise KitError(
            f"others can change {path}",
            hint=f"chmod go-w {path}; look first whether all in it is as it should be",
            reason="KIT_WRITABLE",
        )


def _opened(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        raise KitError(
            f"{folder} is a link or a file, where a folder of one's own has to be",
            hint="find out who put it there, and take it away; the folder is made anew",
            reason="KIT_LINK",
        ) from error


def _look_at(folder: Path, descriptor: int, *, tighten: bool) -> None:
    status = os.fstat(descriptor)
    if tighten and is_ours(status):
        if stat.S_IMODE(status.st_mode) != _OWNER_ONLY:
            os.fchmod(descriptor, _OWNER_ONLY)
    else:
        refuse_changeable(folder, status)
