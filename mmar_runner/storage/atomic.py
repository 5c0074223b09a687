# SPDX-License-Identifier: Apache-2.0
"""Writes that happen as a whole or not at all, and ``OSError`` in the project's words."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmar_runner.errors import DiskFullError, StorageError

#: What the system says where a disk, or somebody's share of it, is full.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o644


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """Translate an ``OSError`` about ``path``; no space left becomes DiskFullError."""
    cause = error.strerror or str(error)
    if error.errno in NO_SPACE:
        return DiskFullError(
            f"{path}: {cause}", hint="free space on that disk; the same call then goes on"
        )
    return StorageError(f"{path}: {cause}")


@contextmanager
def translated(path: Path | str) -> Iterator[None]:
    """Let every ``OSError`` of the block leave as a StorageError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries (new names, renames) to the disk.

    Raises:
        StorageError: The folder cannot be opened or synced.
    """
    _sync(folder, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Bring a file's bytes to the disk, whoever wrote them.

    Raises:
        StorageError: It cannot be opened or synced.
    """
    _sync(path)


def _sync(path: Path, flags: int = 0) -> None:
    with translated(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path, *, at_once: int = 1) -> None:
    """Bring a folder with everything in it to the disk: files first, then folders, deepest first.

    Links are not followed: what they lead to lies elsewhere.

    Args:
        folder: The folder.
        at_once: How many files are synced at once, each in a thread of its own. Several share
            one of the file system's own commits: of many small files, one by one each has its own.

    Raises:
        StorageError: Something in it cannot be opened or synced.
    """
    folders: list[Path] = []
    plain: list[Path] = []
    with translated(folder):
        for parent, _, files in os.walk(folder, topdown=False):
            folders.append(Path(parent))
            paths = (Path(parent, name) for name in files)
            plain.extend(path for path in paths if path.is_file() and not path.is_symlink())
    _each(sync_file, plain, at_once)
    for path in folders:
        sync_folder(path)


def _each(call: Callable[[Path], None], paths: list[Path], at_once: int) -> None:
    if at_once == 1:
        for path in paths:
            call(path)
        return
    with ThreadPoolExecutor(at_once, "sync") as pool:
        for _ in pool.map(call, paths):
            pass


def make_folder(path: Path, *, durable: bool) -> None:
    """Make a folder and those above it that are missing; one that is there stays.

    Args:
        path: The folder.
        durable: True to return only once its name, and theirs, are on the disk.

    Raises:
        OSError: It cannot be made.
        StorageError: A folder cannot be synced.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if durable:
        # Also if it was there: whoever made it may not have come as far as this.
        for folder in (path, *missing):
            sync_folder(folder.parent)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write every byte of ``data`` at ``offset``; one system call may write less."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def publish(temporary: Path, path: Path, *, durable: bool) -> None:
    """Give a finished temporary file its real name, replacing what had it.

    The caller has synced the file's own bytes if ``durable``.

    Raises:
        StorageError: The name cannot be given.
    """
    with translated(path):
        temporary.replace(path)
    if durable:
        sync_folder(path.parent)


def write_bytes_atomic(
    path: Path,
    data: bytes,
    durable: bool = False,  # noqa: FBT001, FBT002
    *,
    mode: int | None = None,
) -> None:
    """Write a file so that a reader sees the old bytes or the new, never a mixture.

    Args:
        path: The file; its folder exists.
        data: The whole content.
        durable: True to return only once file and name are on the disk.
        mode: Its permission bits, whatever the umask; None for what the umask leaves of
            0644.

    Raises:
        DiskFullError: No space left; the old file is untouched.
        StorageError: Any other refusal of the file system.
    """
    with _written(path, data, mode=mode, durable=durable) as temporary:
        publish(temporary, path, durable=durable)


def write_new(path: Path, data: bytes, *, mode: int, durable: bool = True) -> bool:
    """Write a file that is not there yet; it is whole, and on the disk, when this returns.

    Args:
        path: The file; its folder exists.
        data: The whole content.
        mode: Its permission bits, whatever the umask.
        durable: False leaves it to the system when it comes to the disk.

    Returns:
        False if something had the name already; it stays as it is.

    Raises:
        StorageError: As `write_bytes_atomic`.
    """
    with _written(path, data, mode=mode, durable=durable) as temporary, translated(path):
        try:
            os.link(temporary, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            return False
    if durable:
        sync_folder(path.parent)
    return True


def write_json_atomic(
    path: Path,
    value: Any,
    durable: bool = False,  # noqa: FBT001, FBT002
    *,
    compact: bool = False,
) -> None:
    """Write a value as JSON with a final newline; see `write_bytes_atomic`.

    Args:
        path: As there.
        value: What is written.
        durable: As there.
        compact: In one line, which takes a third of the time; indented otherwise.

    Raises:
        ValueError: The value holds NaN or an infinity, which JSON does not know.
        StorageError: As `write_bytes_atomic`.
    """
    text = json.dumps(value, indent=None if compact else 2, allow_nan=False)
    write_bytes_atomic(path, f"{text}\n".encode(), durable)


@contextmanager
def _written(path: Path, data: bytes, *, mode: int | None, durable: bool) -> Iterator[Path]:
    """Hold the data in a file beside ``path`` that nobody else writes; it does not stay."""
    # A name of its own: two who write one file at once must not write into each other's.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with translated(path):
        descriptor = os.open(temporary, _NEW, _MODE if mode is None else mode)
    try:
        with translated(path):
            _write_file(descriptor, data, mode=mode, durable=durable)
        yield temporary
    finally:
        with translated(path):
            temporary.unlink(missing_ok=True)


def _write_file(descriptor: int, data: bytes, *, mode: int | None, durable: bool) -> None:
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        write_all(descriptor, data, 0)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
