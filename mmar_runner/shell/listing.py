# SPDX-License-Identifier: Apache-2.0
"""``ls``: names, and with -l what they are; links are listed and not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final, TypeAlias

from mmar_runner.documents.words import printable
from mmar_runner.errors import NotAuthorizedError
from mmar_runner.shell.arguments import Arguments, Syntax, parsed
from mmar_runner.shell.limits import DEPTH, ENTRIES
from mmar_runner.shell.output import Page, ShellOutput
from mmar_runner.shell.paths import Root, open_folder, parts_of, told

LS: Final = Syntax(
    "ls", "ls [-a -l -t -S -R -u] [PATH]", flags="altSRu", operands=("PATH",), optional=1
)
_Entry: TypeAlias = tuple[str, os.stat_result]


def ls(words: Sequence[str], root: Root) -> ShellOutput:
    """List a folder, or a file, one name a line, in the order of names.

    Options: names that begin with a dot too (-a), kind, rights, number of names, bytes and
    time (-l), newest first (-t), largest first (-S), the folders in it too (-R), the time of
    the last reading in place of that of the last change (-u; alone it sorts by it).

    Raises:
        MmarRunnerError: It was called wrongly, or the place is not shown.
    """
    arguments = parsed(LS, words)
    path = arguments.operands[0] if arguments.operands else "."
    parts = parts_of(path)
    listing = _Listing(arguments)
    status = root.status(parts)
    if stat.S_ISDIR(status.st_mode):
        with root.folder(parts) as descriptor, told("/".join(parts) or "."):
            listing.folder(descriptor, "/".join(parts) or ".", len(parts))
    else:
        listing.entries([("/".join(parts), status)])
    return listing.page.finished()


class _Listing:
    """What one call lists: the page, and how many entries it may still have."""

    def __init__(self, arguments: Arguments) -> None:
        self.page = Page()
        self._flags = arguments.flags
        alone = not {"l", "t", "S"} & set(arguments.flags)
        self._order = arguments.last_of("tSu" if alone else "tS")
        self._left = ENTRIES
        self._headed = False

    def folder(self, descriptor: int, place: str, depth: int) -> None:
        """List an open folder; with -R those in it too, each under its path."""
        if "R" in self._flags:
            gap = "\n" if self._headed else ""
            self.page.write(f"{gap}{printable(place)}:\n")
            self._headed = True
        found = self._found(descriptor)
        self.entries(found)
        for name, status in found if "R" in self._flags else ():
            if stat.S_ISDIR(status.st_mode):
                below = name if place == "." else f"{place}/{name}"
                self._folder_below(descriptor, name, below, depth + 1)

    def _folder_below(self, above: int, name: str, place: str, depth: int) -> None:
        if depth > DEPTH:
            self.page.note(f"'{place}' is deeper than {DEPTH} folders and was left out")
            return
        try:
            descriptor = open_folder(name, above, place)
            try:
                self.folder(descriptor, place, depth)
            finally:
                os.close(descriptor)
        except (OSError, NotAuthorizedError):  # gone, closed to us, or exchanged meanwhile
            self.page.note(f"'{place}' cannot be read and was left out")

    def _found(self, descriptor: int) -> list[_Entry]:
        """Return what is in a folder, in order, as far as there is room for it."""
        found: list[_Entry] = []
        with os.scandir(descriptor) as entries:
            named = (e for e in entries if "a" in self._flags or not e.name.startswith("."))
            for entry in islice(named, self._left):
                try:
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
            if next(named, None) is not None:
                self.page.note(f"{ENTRIES} entries are the most; the others were left out")
        self._left -= len(found)
        return sorted(found, key=self._key)

    def _key(self, entry: _Entry) -> tuple[int, str]:
        name, status = entry
        if self._order is None:
            return 0, name
        return -(status.st_size if self._order == "S" else self._nanoseconds(status)), name

    def _nanoseconds(self, status: os.stat_result) -> int:
        return status.st_atime_ns if "u" in self._flags else status.st_mtime_ns

    def entries(self, entries: Sequence[_Entry]) -> None:
        """Write some entries."""
        for name, status in entries:
            self.page.write(self._details(status) if "l" in self._flags else "")
            self.page.write(f"{printable(name)}\n")

    def _details(self, status: os.stat_result) -> str:
        time = _said(self._nanoseconds(status) // 1_000_000_000)
        return f"{stat.filemode(status.st_mode)} {status.st_nlink} {status.st_size:>12} {time} "


def _said(seconds: int) -> str:
    """Return a time in UTC; one that no calendar has as seconds since 1970."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
