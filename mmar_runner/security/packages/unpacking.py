# SPDX-License-Identifier: Apache-2.0
"""A package becomes a folder, if nothing in it is unsafe.

Zip, tar and gzipped tar are unpacked, by what they are and not by what they are called. A
package that holds anything unsafe is refused as a whole: names are never mended, nothing is
written outside the destination, and nothing is left of it.
"""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from mmar_runner.security.packages.sink import (
    PackageLimits,
    Sink,
    damaged,
    too_large,
    whole_folder,
)
from mmar_runner.security.packages.tar import unpack_tar
from mmar_runner.security.packages.zip import unpack_zip
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.hashing_thread import HashingThread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.security.listing import HashedFile

#: What a package may cost, and a folder that is packed.
DEFAULT_LIMITS: Final = PackageLimits()


def unpack(archive: Path, destination: Path, limits: PackageLimits = DEFAULT_LIMITS) -> None:
    """Unpack a package into a folder that is not there yet.

    Args:
        archive: A zip, tar or gzipped tar file.
        destination: The folder; it appears once it is complete.
        limits: What it may cost.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY, TOO_LARGE or FORMAT; nothing remains.
        StorageError: The package cannot be read, or the folder cannot be written.
    """
    with _opened(archive, limits) as (stream, size), whole_folder(destination) as root:
        _unpack(stream, size, Sink(root, limits), limits)


def unpack_hashed(
    archive: Path, destination: Path, limits: PackageLimits = DEFAULT_LIMITS
) -> dict[str, HashedFile]:
    """Do the same for a folder that will be hashed and synced: both begin on the way.

    Returns:
        What every file holds, by its name below the folder.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY, TOO_LARGE or FORMAT; nothing remains.
        StorageError: The package cannot be read, or the folder cannot be written.
    """
    with (
        _opened(archive, limits) as (stream, size),
        whole_folder(destination) as root,
        HashingThread() as hashing,
    ):
        sink = Sink(root, limits, hashing=hashing, durable=True)
        _unpack(stream, size, sink, limits)
    return sink.hashed


@contextmanager
def _opened(archive: Path, limits: PackageLimits) -> Iterator[tuple[BinaryIO, int]]:
    with translated(archive), archive.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.package_bytes:
            raise too_large(f"{size} bytes")
        yield stream, size


def _unpack(stream: BinaryIO, size: int, sink: Sink, limits: PackageLimits) -> None:
    magic = stream.read(4)
    stream.seek(0)
    if magic in {b"PK\3\4", b"PK\5\6"}:
        unpack_zip(stream, size, sink, entries=limits.entries)
    elif magic.startswith(b"\x1f\x8b"):
        with _gunzipped(stream) as tar:
            unpack_tar(tar, sink)
    else:
        unpack_tar(stream, sink)


@contextmanager
def _gunzipped(stream: BinaryIO) -> Iterator[BinaryIO]:
    try:
        with gzip.GzipFile(fileobj=stream) as tar:
            yield cast("BinaryIO", tar)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged("its compressed bytes are not sound") from error
