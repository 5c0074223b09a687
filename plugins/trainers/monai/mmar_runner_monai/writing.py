# SPDX-License-Identifier: Apache-2.0
"""The last wall around parts that a stranger declares: where this process writes, what it starts.

Lists of classes and arguments say what a part may do; whatever they overlook ends here. Python
tells every hook (PEP 578) before it opens, moves or removes a file, starts a program or finds a
class for a pickle; this one refuses what leads out of the folders that were given to the process.
It stands where an archive brings no code. It does not hold against code, which it is not for, nor
against libraries that write without Python.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from mmar_runner.storage.tensor_files import temporary_of

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Files that hold nothing, and memory that processes share.
_FREE: Final = (os.devnull, "/dev/tty")
_SHARED: Final = "/dev/shm/"  # noqa: S108 - no file, but memory
#: Beginnings of names that `multiprocessing` and `tempfile` choose.
_PASSING: Final = ("pymp-", "tmp", "torch_", "torchelastic_", "torch-")
#: Events that start a program.
_STARTING: Final = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen")
#: Modules of which no pickle finds anything.
_NEVER: Final = frozenset(
    {
        *("_posixsubprocess", "asyncio", "bdb", "code", "codeop", "ctypes", "importlib", "nt"),
        *("os", "pdb", "pip", "posix", "pty", "runpy", "shutil", "subprocess", "sys", "timeit"),
        *("webbrowser", "types"),
    }
)
#: Functions of ``builtins`` and ``operator`` by which anything else is found or called.
_NO_BUILTINS: Final = frozenset(
    {
        *("__import__", "breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals"),
        *("input", "open", "setattr", "vars", "attrgetter", "methodcaller"),
    }
)
_SHOWN: Final = 200

Judge = Callable[["WritingWall", Sequence[Any]], None]


class WritingWall:
    """What stands in this process; once it stands, it stands.

    Attributes:
        folders: Below which this process may write, with every link followed.
        results: Files elsewhere that it is asked for, and where they lie until they are whole.
    """

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.results: set[str] = set()
        self._stands = False

    def allow(self, *folders: Path) -> None:
        """Let the process write below folders, and from now on nowhere else."""
        self.folders |= {os.path.realpath(folder) for folder in folders}
        if not self._stands:
            self._stands = True
            sys.dont_write_bytecode = True  # what is imported later is written nowhere
            self._temporary = os.path.realpath(tempfile.gettempdir())
            sys.addaudithook(self._heard)

    def expect(self, *files: Path, folder: Path | None = None) -> None:
        """Let the process write what it is asked for, wherever that is to lie.

        Args:
            files: Each may be written under a name of its own first: ``.NAME.tmp``.
            folder: Likewise a whole folder.
        """
        if self._stands:
            both = [one for file in files for one in (file, temporary_of(file))]
            self.results |= {os.path.realpath(one) for one in both}
            if folder is not None:
                self.folders.add(os.path.realpath(folder))

    def _heard(self, event: str, arguments: Sequence[Any]) -> None:
        judge = _JUDGES.get(event)
        if judge is not None:
            judge(self, arguments)

    def require_inside(self, path: Any, folder: Any = None, *, followed: bool = False) -> None:
        """Refuse a path that leads elsewhere.

        Args:
            path: As it was given to the system; a number is a file that is open.
            folder: The descriptor of the folder that it is relative to.
            followed: Whether a link is followed there: what is removed is the link itself.

        Raises:
            PermissionError: It leads out of every folder that may be written to.
        """
        if isinstance(path, int):
            return
        text = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0:
            text = os.path.join(f"/proc/self/fd/{folder}", text)  # noqa: PTH118
        if text in _FREE:
            return
        above, name = os.path.split(text.rstrip("/"))
        real = os.path.join(os.path.realpath(above or "."), name)  # noqa: PTH118
        if not (
            self._is_inside(real) and (not followed or self._is_inside(os.path.realpath(real)))
        ):
            _refuse(f"write to {text[:_SHOWN]!a}, outside the client's workspace")

    def _is_inside(self, real: str) -> bool:
        if real.startswith(_SHARED) or real in self.results:
            return True
        above, name = os.path.split(real)
        if above == self._temporary and name.startswith(_PASSING):
            return True
        below = f"{self._temporary}/"
        if real.startswith(below) and real[len(below) :].startswith(("pymp-", "torchelastic_")):
            return True
        return any(real == folder or real.startswith(f"{folder}/") for folder in self.folders)


def _opened(wall: WritingWall, arguments: Sequence[Any]) -> None:
    path, _, flags = arguments
    if path is None or not isinstance(flags, int) or not flags & _WRITES:
        return
    if isinstance(path, int) or not os.path.isdir(path):  # noqa: PTH112 - may be bytes
        wall.require_inside(path, followed=True)  # a folder is opened for a file without a name


def _changed(wall: WritingWall, arguments: Sequence[Any]) -> None:
    wall.require_inside(arguments[0], arguments[-1])


def _owned(wall: WritingWall, arguments: Sequence[Any]) -> None:
    wall.require_inside(arguments[0], arguments[-1], followed=True)


def _cut(wall: WritingWall, arguments: Sequence[Any]) -> None:
    wall.require_inside(arguments[0], followed=True)


def _moved(wall: WritingWall, arguments: Sequence[Any]) -> None:
    source, destination, below, above = arguments
    wall.require_inside(source, below)
    wall.require_inside(destination, above)


def _linked(wall: WritingWall, arguments: Sequence[Any]) -> None:
    wall.require_inside(arguments[1], arguments[-1])


def _database(wall: WritingWall, arguments: Sequence[Any]) -> None:
    if arguments[0] != ":memory:":
        wall.require_inside(arguments[0], followed=True)


def _started(_: WritingWall, arguments: Sequence[Any]) -> None:
    _refuse(f"start {str(arguments[0] if arguments else '')[:_SHOWN]!a}")


def _unpickled(_: WritingWall, arguments: Sequence[Any]) -> None:
    module, name = str(arguments[0]), str(arguments[1])
    first = name.partition(".")[0]
    finds_others = module in {"builtins", "operator", "_operator"} and first in _NO_BUILTINS
    if module.partition(".")[0] in _NEVER or finds_others:
        _refuse(f"load {module}.{name} out of a pickle"[:_SHOWN])


_JUDGES: Final[dict[str, Judge]] = {
    "open": _opened,
    "os.chmod": _owned,
    "os.chown": _owned,
    "os.link": _linked,
    "os.mkdir": _changed,
    "os.remove": _changed,
    "os.rename": _moved,
    "os.rmdir": _changed,
    "os.symlink": _linked,
    "os.truncate": _cut,
    "pickle.find_class": _unpickled,
    "sqlite3.connect": _database,
    **dict.fromkeys(_STARTING, _started),
}

#: One a process: it stands around everything in it.
WRITING: Final = WritingWall()


def _refuse(what: str) -> None:
    message = f"a part of an MMAR may not {what}"
    raise PermissionError(errno.EACCES, message)
