# SPDX-License-Identifier: Apache-2.0
"""Files and folders below one folder, and no others.

Every step of a path is opened from the folder before it, and never through a link: whoever
exchanges a folder for a link while we look gets a refusal, not another folder. What is open is
judged again, so a file that was exchanged is judged as it is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import MmarRunnerError, NotAuthorizedError, StorageError, UsageError
from mmar_runner.shell.limits import DEPTH

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_BELOW: Final = "name a file or folder below the run's folder, such as logs/server.log"


def refused(path: str, cause: str) -> NotAuthorizedError:
    """Return the refusal of a path, which is shown as it was given."""
    return NotAuthorizedError(f"'{printable(path)}': {cause}", reason="PATH", hint=_BELOW)


def parts_of(path: str) -> tuple[str, ...]:
    """Return the steps of a path, from the folder that everything is confined to.

    Args:
        path: As it was given. ``.`` and empty steps lead nowhere, and nothing is expanded.

    Raises:
        NotAuthorizedError: With reason ``PATH``: it is absolute, leads upwards or too deep, or
            has a letter that no honest path needs.
    """
    if not path:
        raise refused(path, "an empty path")
    if not path.isprintable():
        raise refused(path, "a letter in it cannot be seen")
    if "\\" in path:
        raise refused(path, "a backslash is in it")
    if path.startswith("/"):
        raise refused(path, "it does not begin in the run's folder")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if ".." in parts:
        raise refused(path, "it leads upwards")
    if len(parts) > DEPTH:
        raise refused(path, f"it is deeper than {DEPTH} folders")
    return parts


class Root:
    """The one folder that commands see.

    Args:
        path: The folder, which is no link itself; folders above it may be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def folder(self, parts: Sequence[str]) -> Iterator[int]:
        """Open a folder below.

        Returns:
            Its descriptor, which is closed at the end.

        Raises:
            MmarRunnerError: It is not there, cannot be read, or must not be.
        """
        with told("."):
            descriptor = os.open(self.path, _FOLDER_FLAGS)
        try:
            for number, name in enumerate(parts, 1):
                descriptor = _step(descriptor, name, "/".join(parts[:number]))
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def file(self, parts: Sequence[str]) -> Iterator[tuple[int, os.stat_result]]:
        """Open a file below.

        Returns:
            Its descriptor, which is closed at the end, and its status.

        Raises:
            MmarRunnerError: It is not there, cannot be read, or must not be.
        """
        place = "/".join(parts) or "."
        if not parts:
            raise _no_file(place)
        with self.folder(parts[:-1]) as above, told(place):
            # Looked at before it is opened: opening a pipe or a device does something.
            _require_file(os.stat(parts[-1], dir_fd=above, follow_symlinks=False), place)
            descriptor = os.open(parts[-1], _FILE_FLAGS, dir_fd=above)
            try:  # whatever was opened, and not what was looked at, is what will be read
                status = os.fstat(descriptor)
                _require_file(status, place)
                yield descriptor, status
            finally:
                os.close(descriptor)

    def status(self, parts: Sequence[str]) -> os.stat_result:
        """Return the status of a file or folder below.

        Raises:
            MmarRunnerError: It is not there, or is neither.
        """
        place = "/".join(parts) or "."
        with self.folder(parts[:-1]) as above, told(place):
            name = parts[-1] if parts else "."
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
            _require_kind(status, place)
        return status


def _step(descriptor: int, name: str, place: str) -> int:
    """Go one folder down; the folder that one stood in stays open if that fails."""
    with told(place):
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        _require_kind(status, place)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "no folder")
        below = open_folder(name, descriptor, place)
    os.close(descriptor)
    return below


def open_folder(name: str, above: int, place: str) -> int:
    """Open what was just seen to be a folder.

    Args:
        name: Its name in the folder above.
        above: The descriptor of that folder.
        place: Its path, as it is shown.

    Returns:
        Its descriptor, which the caller closes.

    Raises:
        NotAuthorizedError: It is a link, or something else, by now.
        OSError: It has gone, or cannot be read.
    """
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=above)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        raise refused(place, "it was exchanged while it was looked at") from error


def _require_kind(status: os.stat_result, place: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise refused(place, "a link, and links are not followed")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise refused(place, "neither a file nor a folder")


def _require_file(status: os.stat_result, place: str) -> None:
    _require_kind(status, place)
    if stat.S_ISDIR(status.st_mode):
        raise _no_file(place)
    if status.st_nlink > 1:
        raise refused(place, "the file has another name too, which may lie elsewhere")


def _no_file(place: str) -> UsageError:
    return UsageError(f"'{printable(place)}' is a folder", hint="ls shows what is in it")


@contextmanager
def told(place: str) -> Iterator[None]:
    """Say in our words what the system says of a path."""
    try:
        yield
    except OSError as error:
        raise _meaning(error, place) from error


def _meaning(error: OSError, place: str) -> MmarRunnerError:
    said = printable(place)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return UsageError(
            f"'{said}': there is no such file or folder",
            reason="FILE_MISSING",
            hint="ls shows what is there",
        )
    if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
        return refused(place, "a link, or a name that is too long")
    return StorageError(
        f"'{said}' cannot be read: {os.strerror(error.errno or errno.EIO)}",
        hint="look at its rights, and at the disk",
    )
