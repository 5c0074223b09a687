# SPDX-License-Identifier: Apache-2.0
"""The digest of an MMAR: what two parties compare to know that they mean the same."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmar_runner.mmar.folder import MmarFolder

_HEADER = b"mmar-manifest-1\n"


def manifest(folder: MmarFolder) -> list[tuple[str, int, str]]:
    """Return (path, size in bytes, sha256) of every file, sorted by path.

    Hidden files and ``models/`` are left out.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file grew beyond the limit.
    """
    entries = []
    for file in sorted(folder.files):
        data = folder.read_bytes(file, folder.limits.file_bytes)
        entries.append((file, len(data), sha256(data).hexdigest()))
    return entries


def manifest_digest(entries: list[tuple[str, int, str]]) -> str:
    """Return the sha256 over a manifest."""
    digest = sha256(_HEADER)
    for file, size, content in entries:
        digest.update(f"{content} {size} {file}\n".encode())
    return digest.hexdigest()
