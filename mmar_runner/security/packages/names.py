# SPDX-License-Identifier: Apache-2.0
"""Which names a package may hold. Nothing is ever rewritten: a bad name is refused.

A name is one that every usual file system keeps as it is: relative, with forward
slashes, printable, in normal form C, and different from every other one even where
upper and lower case are the same.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from mmar_runner.errors import PackageError

#: Bytes of one part of a name, and of a whole name.
MAX_PART_BYTES: Final = 255
MAX_NAME_BYTES: Final = 1024
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_SHOWN: Final = 80


def checked_name(name: str, *, depth: int) -> str:
    """Return a file's or a folder's name as it stands.

    Args:
        name: The name, without a slash at its end.
        depth: How many parts it may have.

    Raises:
        PackageError: UNSAFE_PATH.
    """
    problem = _problem(name, depth)
    if problem is not None:
        raise unsafe_path(name, problem)
    return name


def unsafe_path(name: str, what: str) -> PackageError:
    """Return the error for a name that is not taken; ``what`` follows "which"."""
    msg = f"the package holds the name {shown(name)}, which {what}"
    hint = "nothing was unpacked; pack the folder anew"
    return PackageError(msg, hint=hint, reason="UNSAFE_PATH")


def shown(name: str) -> str:
    """Return a name as it may be shown: quoted, escaped and short."""
    text = ascii(name)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...'"


def name_key(name: str) -> str:
    """Return what two names have in common if some file system or person takes them for one."""
    return unicodedata.normalize("NFKC", name).casefold()


class Names:
    """The names of one package, each there once.

    Args:
        depth: How many parts a name may have.
    """

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        self._spelled: dict[str, str] = {}
        self._files: set[str] = set()
        self._entries: set[str] = set()

    def file(self, name: str) -> None:
        """Take the name of a file.

        Raises:
            PackageError: UNSAFE_PATH.
        """
        self._take(name)
        if name in self._spelled:
            raise unsafe_path(name, "is a file and a folder")
        self._parents(name)
        self._spell(name)
        self._files.add(name)

    def folder(self, name: str) -> None:
        """Take the name of a folder.

        Raises:
            PackageError: UNSAFE_PATH.
        """
        self._take(name)
        self._parents(name)
        self._spell(name)

    def _take(self, name: str) -> None:
        checked_name(name, depth=self._depth)
        if name in self._entries:
            raise unsafe_path(name, "is there twice")
        self._entries.add(name)

    def _parents(self, name: str) -> None:
        position = name.find("/")
        while position >= 0:
            parent = name[:position]
            if parent in self._files:
                raise unsafe_path(parent, "is a file and a folder")
            self._spell(parent)
            position = name.find("/", position + 1)

    def _spell(self, name: str) -> None:
        other = self._spelled.setdefault(name_key(name), name)
        if other != name:
            raise unsafe_path(name, f"differs from {shown(other)} in case or form only")
        self._spelled.setdefault(name, name)


def _problem(name: str, depth: int) -> str | None:
    """Return what is wrong with a name, or None."""
    parts = name.split("/")
    problems = {
        "is absolute, or another system's path": "\\" in name or _DRIVE.match(name) or not parts[0],
        "has an empty part, '.' or '..'": not {"", ".", ".."}.isdisjoint(parts),
        # What cannot be encoded cannot be shown either, so nothing below meets it.
        "has a character that cannot be shown": not name.isprintable(),
        "is too long or too deep": len(name) > MAX_NAME_BYTES or len(parts) > depth,
    }
    for problem, found in problems.items():
        if found:
            return problem
    return _encoded_problem(name)


def _encoded_problem(name: str) -> str | None:
    if unicodedata.normalize("NFC", name) != name:
        return "is not in Unicode's normal form C"
    longest = max(len(part.encode()) for part in name.split("/"))
    if longest > MAX_PART_BYTES or len(name.encode()) > MAX_NAME_BYTES:
        return "is too long or too deep"
    return None
