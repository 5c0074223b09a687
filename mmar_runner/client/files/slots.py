# SPDX-License-Identifier: Apache-2.0
"""Where global models lie for as long as they are needed.

Files are used again and again instead of being made anew: overwriting pages that the
kernel already holds is cheaper than asking for new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class SpareFiles:
    """Files of one folder that nobody needs now.

    Clients of one process may share them: there are then as many as are needed at once, however
    many clients there are.

    Args:
        folder: Where they lie; it need not be there before the first is opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named = 0
        self._spare: list[Path] = []

    def take(self) -> Path:
        """Return a file that is nobody else's until it is given back; it may not be there yet."""
        if self._spare:
            return self._spare.pop()
        self._named += 1
        return self.folder / f"model_{self._named - 1}.safetensors"

    def give_back(self, path: Path) -> None:
        """Let somebody else have a file; what is in it may be overwritten."""
        self._spare.append(path)


class ModelSlots:
    """The files of one client's global models: one in use, one that waits, one that comes.

    The next model can arrive while the last is still being read, and, if a client is so slow that
    a third comes before it is done, that one too.

    Args:
        spare: Where they come from.
    """

    def __init__(self, spare: SpareFiles) -> None:
        self._spare = spare
        self._kept: list[Path] = []

    def take(self) -> Path:
        """Return a file for a model that comes."""
        path = self._spare.take()
        self._kept.append(path)
        return path

    def keep_only(self, needed: Collection[Path | None]) -> None:
        """Give back all files but these."""
        for path in self._kept:
            if path not in needed:
                self._spare.give_back(path)
        self._kept = [path for path in self._kept if path in needed]
