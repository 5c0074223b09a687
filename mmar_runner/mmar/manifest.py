# SPDX-License-Identifier: Apache-2.0
"""The digest of an MMAR: what two parties compare to know that they mean the same."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmar_runner.mmar.folder import MmarFolder

_HEADER = b"mmar-manifest-1\n"
_BLOCK_BYTES = 1 << 20


def manifest(folder: MmarFolder) -> list[tuple[str, int, str]]:
    """Return (path, size in bytes, sha256) of every file, sorted by path.

    Hidden files and ``models/`` are left out; so is what cannot be read, which is a
    finding of its own.
    """
    entries = []
    for file in sorted(folder.files):
        try:
            entries.append(_entry(folder, file))
        except OSError:
            continue
    return entries


def digest_of(folder: MmarFolder) -> str:
    """Return the sha256 over the manifest of a folder."""
    digest = sha256(_HEADER)
    for file, size, content in manifest(folder):
        digest.update(f"{content} {size} {file}\n".encode())
    return digest.hexdigest()


def _entry(folder: MmarFolder, file: str) -> tuple[str, int, str]:
    digest, size = sha256(), 0
    with folder.open(file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return file, size, digest.hexdigest()
