# SPDX-License-Identifier: Apache-2.0
"""Files that pass between the server and a component in a child: whose fault it is, if they do not.

What a child writes is a stranger's: it is opened only if it is a plain file, and whatever is
wrong with it is a failure of that component. Neither the disk nor a client is to blame for it.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from mmar_runner.errors import RunFailedError, StorageError
from mmar_runner.storage.tensor_files import TensorReader, temporary_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Author:
    """A component that leaves files behind.

    Attributes:
        who: What sentences call it.
        reason: The stable id of its failures.
        log: Of its process.
    """

    who: str
    reason: str
    log: Path

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Let whatever is wrong with a file of its own be its failure.

        Raises:
            RunFailedError: In place of a StorageError, a FormatError or a SchemaMismatchError.
        """
        try:
            yield
        except StorageError as error:
            raise self.failure(f"left what cannot be read: {error.message}") from error

    def failure(self, what: str) -> RunFailedError:
        """Return its failure.

        Args:
            what: What it did, as the rest of a sentence.
        """
        hint = f"mend its plugin, or declare another; its log is {self.log}"
        return RunFailedError(f"{self.who} {what}", hint=hint, reason=self.reason)

    def make_room(self, file: Path) -> None:
        """Take away whatever it has put where a file is to be written for it.

        Raises:
            RunFailedError: The folder that both use is no folder any more.
        """
        place = file.parent
        if place.is_symlink() or not place.is_dir():
            raise self.failure(f"took the folder {place} away that it works in")
        for path in (file, temporary_of(file)):
            clear(path)


class ChildFile:
    """Reads a file that a child wrote, through the one descriptor that was looked at.

    Use it as a context manager.

    Args:
        path: The file.
        author: Who wrote it.

    Raises:
        RunFailedError: It is no plain file, or none of tensors.
    """

    def __init__(self, path: Path, author: Author) -> None:
        self._author = author
        with author.blamed():
            self._reader = TensorReader(path, links=False)
        self.header = self._reader.header

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._reader.close()

    def read_into(self, name: str, start_element: int, out: npt.NDArray[Any]) -> None:
        """Fill ``out`` with consecutive elements of a tensor; see `TensorReader`.

        Raises:
            RunFailedError: No such tensor, another dtype, beyond its end, or it got shorter.
        """
        with self._author.blamed():
            self._reader.read_into(name, start_element, out)


def clear(path: Path) -> None:
    """Remove what has a name, whatever it is; what cannot be removed stays."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
