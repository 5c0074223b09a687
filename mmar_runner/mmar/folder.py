# SPDX-License-Identifier: Apache-2.0
"""Reading a folder that somebody else wrote.

Nothing outside the folder is ever opened, nothing but plain files is read, and
nothing is read beyond the limits. What lies in ``models/`` or is hidden is no part of
the job that the checks look at; but it belongs to the folder, and so to its digest.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.documents.limits import DEFAULT_LIMITS, ReadingLimits
from mmar_runner.documents.words import did_you_mean, printable
from mmar_runner.errors import MmarUnreadableError
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.packages.names import Names, name_problem

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Findings

_MODELS = "models/"
#: Names that are taken first: of two that differ in case only, the other one is misnamed.
_USUAL = frozenset(
    {
        *("config_fed_server.json", "config_fed_client.json", "config_train.json"),
        *("config_validation.json", "config_validation_ckpt.json", "environment.json"),
        *("log.config", "config", "resources", "custom", "docs", "models", "Readme.md"),
    }
)
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(slots=True)
class MmarFolder:
    """An MMAR's folder after one look at everything in it.

    Attributes:
        root: The folder, absolute, links resolved.
        files: Size in bytes of every readable file, by path relative to the root with
            forward slashes; neither hidden ones nor those below ``models/``.
        contents: The same of every file, hidden ones and models too; only the root's
            signature file stands in neither.
        unlisted: Sentences about what is there and stands in neither of them.
        limits: What may be read.
    """

    root: Path
    files: dict[str, int] = field(default_factory=dict)
    contents: dict[str, int] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)
    limits: ReadingLimits = DEFAULT_LIMITS

    def open(self, file: str) -> BufferedReader:
        """Open a file for reading.

        Raises:
            OSError: It cannot be read, is not a plain file, or leaves the folder.
        """
        real = Path(os.path.realpath(self.root / file))
        if not real.is_relative_to(self.root):
            raise PermissionError(f"{file} leaves the folder")
        stream = os.fdopen(os.open(real, _OPEN_FLAGS), "rb")
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            stream.close()
            raise OSError(f"{file} is not a plain file")
        return stream

    def read_bytes(self, file: str, limit: int) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: It cannot be read, is not a plain file, or leaves the folder.
            ValueError: It is larger than ``limit``.
        """
        with self.open(file) as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"{file} is larger than {limit} bytes")
        return data

    def signature(self, limit: int) -> bytes | None:
        """Return the bytes of the root's signature file, or None if there is none.

        Raises:
            OSError: It cannot be read, is not a plain file, or leaves the folder.
            ValueError: It is larger than ``limit`` bytes.
        """
        if not os.path.lexists(self.root / SIGNATURE_FILE):
            return None
        return self.read_bytes(SIGNATURE_FILE, limit)

    def inside(self, path: str) -> bool:
        """Return True if a relative path names a file in the folder."""
        real = Path(os.path.realpath(self.root / path))
        return real.is_relative_to(self.root) and real.is_file()


def open_folder(
    folder: Path, findings: Findings, limits: ReadingLimits = DEFAULT_LIMITS
) -> MmarFolder:
    """Look at everything in a folder; what must not be there becomes findings.

    Raises:
        MmarUnreadableError: There is no such folder, or it has no readable ``config/``.
    """
    try:
        root = folder.resolve(strict=True)
        has_config = "config" in {path.name for path in root.iterdir() if path.is_dir()}
    except FileNotFoundError:
        raise MmarUnreadableError(f"There is no folder {str(folder)!r}.") from None
    except NotADirectoryError:
        hint = "Name the folder that holds config/."
        raise MmarUnreadableError(f"{str(folder)!r} is not a folder.", hint=hint) from None
    except (OSError, RuntimeError) as error:
        raise MmarUnreadableError(f"{str(folder)!r} cannot be read: {error}") from error
    if not has_config:
        message = f"{str(folder)!r} is not an MMAR: it has no folder config/."
        raise MmarUnreadableError(message, hint=_without_config(root))
    return survey(root, findings, limits)


def survey(root: Path, findings: Findings, limits: ReadingLimits = DEFAULT_LIMITS) -> MmarFolder:
    """Look at everything in a folder that need not be an MMAR.

    Args:
        root: The folder, which is there.
        findings: Gets what must not be in it.
        limits: What may be read.
    """
    result = MmarFolder(root.resolve(), limits=limits)
    _Survey(result, findings).run()
    return result


def _without_config(root: Path) -> str:
    """Return what to do about a folder that has no ``config/``."""
    entries = sorted(root.iterdir())
    for entry in entries:
        if entry.name == "config":
            return "config is a file: it must be the folder of the configuration files."
        if entry.is_dir() and (entry / "config").is_dir():
            return f"Name the folder {printable(entry.name)} in it, which has one."
    if any(entry.name.startswith("config_fed_") for entry in entries):
        return "Move the configuration files into a folder named config."
    near = did_you_mean("config", [entry.name for entry in entries if entry.is_dir()])
    mend = "Name the folder that holds config/config_fed_server.json."
    return mend if near is None else f"{near} Rename that folder to config."


class _Survey:
    """Walks over a folder once, without following links to folders."""

    def __init__(self, folder: MmarFolder, findings: Findings) -> None:
        self._folder = folder
        self._limits = folder.limits
        self._findings = findings
        self._names = Names()
        self._total = 0

    def run(self) -> None:
        """Fill the folder's ``files``, ``contents`` and ``unlisted``."""
        if (problem := name_problem(self._folder.root.name, depth=1)) is not None:
            self._problem("MMAR107", f"The folder's name {problem}.", file="", hint="Rename it.")
        for file, entry in self._walk(self._folder.root, "", 0):
            if len(self._folder.contents) >= self._limits.files:
                self._too_much(f"more than {self._limits.files} files")
                return
            size = self._size(file, entry)
            if size is None:
                continue
            self._folder.contents[file] = size
            if file.startswith(_MODELS):
                continue
            self._total += size
            if self._total > self._limits.total_bytes:
                self._too_much(f"more than {self._limits.total_bytes} bytes")
                return
            if not is_hidden(file):
                self._folder.files[file] = size

    def _problem(self, code: str, message: str, *, file: str, hint: str | None = None) -> None:
        """Report what is there and cannot be listed."""
        self._findings.add(code, message, file=file, hint=hint)
        self._folder.unlisted.append(f"{file}: {message}" if file else message)

    def _too_much(self, what: str) -> None:
        hint = "Keep data, results and version control outside; models/ counts by files alone."
        self._problem("MMAR106", f"The folder holds {what}.", file="", hint=hint)

    def _walk(
        self, folder: Path, prefix: str, depth: int
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        if depth > self._limits.folder_depth:
            self._problem("MMAR106", "Folders are nested too deeply.", file=prefix.rstrip("/"))
            return
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda e: (e.name not in _USUAL, e.name))
        except OSError as error:
            message = f"The folder cannot be read: {error.strerror}."
            self._problem("MMAR108", message, file=prefix.rstrip("/"))
            return
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not self._safe_name(prefix, entry.name, is_folder=is_folder):
                continue
            if prefix + entry.name == SIGNATURE_FILE and entry.is_file(follow_symlinks=False):
                continue
            if is_folder:
                yield from self._walk(Path(entry.path), f"{prefix}{entry.name}/", depth + 1)
            else:
                yield prefix + entry.name, entry

    def _safe_name(self, prefix: str, name: str, *, is_folder: bool) -> bool:
        """Return True if a name means the same everywhere, and so can be delivered."""
        taken = self._names.folder_problem if is_folder else self._names.file_problem
        problem = taken(prefix + name)
        if problem is not None:
            shown = prefix + (name if name.isprintable() else ascii(name)[1:-1])
            self._problem("MMAR107", f"The name {problem}.", file=shown, hint="Rename it.")
        return problem is None

    def _size(self, file: str, entry: os.DirEntry[str]) -> int | None:
        """Return the size of what an entry is or links to; None if it may not be read."""
        if entry.is_symlink() and not self._link_stays(file):
            return None
        try:
            found = (self._folder.root / file).stat()
        except OSError as error:
            self._problem("MMAR108", f"The file cannot be read: {error.strerror}.", file=file)
            return None
        if stat.S_ISDIR(found.st_mode):
            # Its files are walked where they are; so whoever links loses no file, but a path.
            message = "The link to a folder is neither followed nor delivered."
            self._findings.add("MMAR661", message, file=file)
            return None
        if not stat.S_ISREG(found.st_mode):
            message = "This is a device, a pipe or a socket, not a file."
            self._problem("MMAR104", message, file=file, hint="Remove it.")
            return None
        if found.st_size > self._limits.file_bytes and not file.startswith(_MODELS):
            message = f"The file has {found.st_size} bytes."
            hint = f"At most {self._limits.file_bytes} bytes are read; move it to models/."
            self._problem("MMAR105", message, file=file, hint=hint)
            return None
        return found.st_size

    def _link_stays(self, file: str) -> bool:
        real = Path(os.path.realpath(self._folder.root / file))
        if not real.is_relative_to(self._folder.root):
            message = "The symbolic link leaves the folder."
        elif not real.exists():
            message = "The symbolic link leads nowhere."
        else:
            return True
        self._problem("MMAR103", message, file=file, hint="Put the file itself there.")
        return False


def is_hidden(file: str) -> bool:
    """Return True if a file, or a folder above it in the MMAR, has a name with a dot first."""
    return file.startswith(".") or "/." in file
