# SPDX-License-Identifier: Apache-2.0
"""The listing of an MMAR and its digest: what two parties compare.

Hashing is the dearest part of looking at an MMAR, so it happens once, and large
folders are hashed by several threads (``hashlib`` lets others run meanwhile).
"""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import MmarUnreadableError, SignatureError
from mmar_runner.mmar.code.byoc import kind_of
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.security.listing import SIGNATURE_FILE, FileListing, ListedFile
from mmar_runner.security.pki.envelope import MAX_ENVELOPE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from mmar_runner.mmar.folder import MmarFolder
    from mmar_runner.security.listing import HashedFile

#: Below so many bytes a thread costs more than it brings.
_WORTH_THREADS: Final = 4 * 1024 * 1024
#: More than there are processors: some wait for the disk while others compute.
_THREADS: Final = min(8, 2 * (os.cpu_count() or 1))
#: Read at once: each reading waits for its turn among the threads.
_READ_BYTES: Final = 1 << 20
#: Seconds after which a thread that computes lets one go on that hashes: while modules are
#: imported, every file would else wait several times for Python's own 5 ms.
_SWITCH_SECONDS: Final = 0.0002


def list_files(
    folder: MmarFolder, hashed: Mapping[str, HashedFile] = MappingProxyType({})
) -> FileListing:
    """Return the listing of everything in a folder; it reads every file.

    Args:
        folder: It.
        hashed: What files hold, by path, that this process itself wrote a moment ago, where
            nobody else writes: those are not read again, if their size is still that.
    """
    files = sorted(folder.contents)
    found: dict[str, ListedFile | str] = {
        file: ListedFile(file, known.size, known.sha256, kind_of(file))
        for file, known in hashed.items()
        if folder.contents.get(file) == known.size
    }
    # The large ones first, so that no thread is left alone with one at the end.
    order = sorted(set(files) - found.keys(), key=lambda file: -folder.contents[file])
    if sum(folder.contents[file] for file in order) < _WORTH_THREADS:
        found |= {file: _entry(folder, file) for file in order}
    else:
        with ThreadPoolExecutor(_THREADS, "hash") as pool:
            found |= dict(zip(order, pool.map(lambda f: _entry(folder, f), order), strict=True))
    entries = [found[file] for file in files]
    listed = tuple(entry for entry in entries if isinstance(entry, ListedFile))
    unread = tuple(entry for entry in entries if isinstance(entry, str))
    return FileListing(folder.root.name, listed, (*folder.unlisted, *unread))


@contextmanager
def listed_ahead(folder: Path) -> Iterator[Future[FileListing] | None]:
    """Have a folder listed while something else is done; None if it is no MMAR.

    It may change until the listing is looked at, so this is for what is told of a folder,
    never for what is allowed to run.

    Args:
        folder: The MMAR.
    """
    try:
        surveyed = open_folder(folder, Findings())
    except MmarUnreadableError:  # whoever looks at it next says so
        yield None
        return
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        with ThreadPoolExecutor(1, "list") as pool:
            yield pool.submit(list_files, surveyed)
    finally:
        sys.setswitchinterval(usual)


def read_signature(folder: MmarFolder) -> bytes | None:
    """Return the bytes of the root's signature file; None if there is none.

    Raises:
        SignatureError: FORMAT, it cannot be read, or is larger than is read.
    """
    try:
        return folder.signature(MAX_ENVELOPE_BYTES)
    except (OSError, ValueError) as error:
        message = f"{folder.root / SIGNATURE_FILE} cannot be read: {error}"
        hint = "remove it, and have the MMAR signed again"
        raise SignatureError(message, hint=hint, reason="FORMAT") from error


def _entry(folder: MmarFolder, file: str) -> ListedFile | str:
    """Return a file's entry, or a sentence about why there is none."""
    try:
        with folder.open(file) as stream:
            digest, size = hashlib.sha256(), 0
            while block := stream.raw.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
            return ListedFile(file, size, digest.hexdigest(), kind_of(file))
    except OSError as error:
        return f"{file}: The file cannot be read: {error.strerror or error}."
