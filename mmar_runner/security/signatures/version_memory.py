# SPDX-License-Identifier: Apache-2.0
"""The highest version of every MMAR that was accepted here: there is no way back."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.errors import KitError
from mmar_runner.security.signatures.context import SeenVersion
from mmar_runner.storage.atomic import translated, write_json_atomic
from mmar_runner.storage.bounded import read_bounded
from mmar_runner.storage.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_BYTES: Final = 64 * 1024 * 1024


class VersionMemory:
    """Remembers versions by project and name, on the disk before it answers.

    Args:
        path: The file, such as ``versions.json`` in a kit's state folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> dict[tuple[str, str], SeenVersion]:
        """Return the highest remembered version by project and name.

        Raises:
            KitError: The file is damaged.
            StorageError: It cannot be read.
        """
        return {
            (project, name): _seen(entry)
            for project, names in self._read().items()
            for name, entry in names.items()
        }

    def remember(self, project: str, name: str, seen: SeenVersion) -> None:
        """Remember a version, unless it or a higher one is remembered already.

        Raises:
            KitError: The file is damaged.
            StorageError: It cannot be written.
        """
        with self._locked():
            known = self._read()
            before = _seen(known.get(project, {}).get(name, 0))
            # What an older memory said of this version lacks the digest.
            learnt = seen.version == before.version and before.digest is None
            if seen.version > before.version or learnt:
                entry = {"version": seen.version, "digest": seen.digest}
                known.setdefault(project, {})[name] = entry
                write_json_atomic(self._path, known, durable=True)

    def _read(self) -> dict[str, dict[str, Any]]:
        with translated(self._path):
            try:
                data = read_bounded(self._path, _MAX_BYTES, judge=self._check_file)
            except FileNotFoundError:
                return {}
        try:
            known = parse_strict(data, limit=_MAX_BYTES)
        except ValueError as error:
            raise self._damaged() from error
        if not _is_memory(known):
            raise self._damaged()
        return dict(known)

    def _check_file(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._damaged()

    def _damaged(self) -> KitError:
        msg = f"{self._path} is damaged"
        hint = "restore it from a copy; without it an older version could run again"
        return KitError(msg, hint=hint, reason="STATE_DAMAGED")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with translated(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock")):
            yield


def _seen(entry: Any) -> SeenVersion:
    """Return a remembered version; older memories hold its number alone."""
    return SeenVersion(**entry) if isinstance(entry, dict) else SeenVersion(entry)


def _is_memory(value: Any) -> bool:
    projects = value.values() if isinstance(value, dict) else [None]
    return all(
        isinstance(names, dict) and all(map(_is_entry, names.values())) for names in projects
    )


def _is_entry(value: Any) -> bool:
    if not isinstance(value, dict):
        return type(value) is int
    digest = value.get("digest")
    return (
        value.keys() == {"version", "digest"}
        and type(value["version"]) is int
        and (digest is None or isinstance(digest, str))
    )
