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
#: Parts of a name.
MAX_DEPTH: Final = 18
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
    _require_none(name, name_problem(name, depth=depth))
    return name


def name_problem(name: str, *, depth: int) -> str | None:
    """Return what is wrong with a name by itself, as it follows "which"; None if nothing is."""
    return _problem(name, depth)


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

    What is wrong with a name is said as it follows "which".

    Args:
        depth: How many parts a name may have.
    """

    def __init__(self, *, depth: int = MAX_DEPTH) -> None:
        self._depth = depth
        self._entries: set[str] = set()
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._spelled: dict[str, str] = {}

    def file(self, name: str) -> None:
        """Take the name of a file.

        Raises:
            PackageError: UNSAFE_PATH.
        """
        _require_none(name, self.file_problem(name))

    def folder(self, name: str) -> None:
        """Take the name of a folder.

        Raises:
            PackageError: UNSAFE_PATH.
        """
        _require_none(name, self.folder_problem(name))

    def file_problem(self, name: str) -> str | None:
        """Take the name of a file and return what is wrong with it, or None."""
        problem = self._entry_problem(name)
        if problem is None and name in self._folders:
            problem = "is a file and a folder"
        self._files.add(name)
        return problem or self._spelling_problem(name)

    def folder_problem(self, name: str) -> str | None:
        """Take the name of a folder and return what is wrong with it, or None."""
        self._folders.add(name)
        return self._entry_problem(name) or self._spelling_problem(name)

    def _entry_problem(self, name: str) -> str | None:
        twice = name in self._entries
        self._entries.add(name)
        return name_problem(name, depth=self._depth) or ("is there twice" if twice else None)

    def _spelling_problem(self, name: str) -> str | None:
        position = name.find("/")
        while position >= 0:
            parent = name[:position]
            self._folders.add(parent)
            clash = "is a file and a folder" if parent in self._files else self._twin(parent)
            if clash is not None:
                return f"lies in {shown(parent)}, which {clash}"
            position = name.find("/", position + 1)
        return self._twin(name)

    def _twin(self, name: str) -> str | None:
        other = self._spelled.setdefault(name_key(name), name)
        return None if other == name else f"differs from {shown(other)} in case or form only"


def _require_none(name: str, problem: str | None) -> None:
    if problem is not None:
        raise unsafe_path(name, problem)


def _problem(name: str, depth: int) -> str | None:
    """Return what is wrong with a name, or None."""
    parts = name.split("/")
    problems = {
        "is absolute, or another system's path": "\\" in name or _DRIVE.match(name) or not parts[0],
        "has an empty part, '.' or '..'": not {"", ".", ".."}.isdisjoint(parts),
        # What cannot be encoded cannot be shown either, so nothing below meets it.
        "is not UTF-8, or has a character that cannot be shown": not name.isprintable(),
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
