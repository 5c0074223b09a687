# SPDX-License-Identifier: Apache-2.0
"""The calls of ``os`` as a simulated process makes them: noted, deadly, or without space.

A call of the test itself, in no process, goes straight to the system. One of a process
that is dead raises and does nothing.
"""

# Paths are strings here, as in the calls that this is about.
# ruff: noqa: PTH112, PTH118

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulated_world.process import Process
from tests.simulated_world.world import CrashedError, World

_WRITING = os.O_WRONLY | os.O_RDWR
_REAL = {
    name: getattr(os, name)
    for name in (
        *("open", "close", "pwrite", "write", "ftruncate", "fsync", "fdatasync", "fdopen"),
        *("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir"),
    )
}
_io_open = io.open


class OsCalls:
    """What takes the place of functions of ``os`` for as long as a world runs.

    Args:
        world: Says who calls.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._folders: dict[int, str] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand in for the system, until the block ends."""
        for name in _REAL:
            setattr(os, name, getattr(self, name))
        io.open = self.io_open  # type: ignore[assignment]
        try:
            yield
        finally:
            for name, real in _REAL.items():
                setattr(os, name, real)
            io.open = _io_open  # type: ignore[assignment]

    # Descriptors

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        process = self._process("open")
        if process is None:
            return int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        named = self._path(path, dir_fd)
        creates = bool(flags & os.O_CREAT) and not os.path.lexists(named)
        if creates:
            self._may_die(f"create {named}")
            self._need_space(process, named)
            process.disk.change(named)
        descriptor = int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        process.descriptors.add(descriptor)
        self._folders[descriptor] = named
        if creates:
            process.disk.created(descriptor)
        elif flags & os.O_TRUNC:
            process.disk.write(descriptor, 0, None)
        return descriptor

    def close(self, descriptor: int) -> None:
        process = self._process("close")
        if process is not None:
            process.descriptors.discard(descriptor)
        _REAL["close"](descriptor)

    def fdopen(self, descriptor: int, mode: str = "r", *args: Any, **options: Any) -> Any:
        process = self._process("fdopen")
        if process is not None and "w" in mode:
            return _Written(descriptor)
        if process is not None and options.get("closefd", True):
            process.descriptors.discard(descriptor)  # the file closes it, by no call of ours
        return _REAL["fdopen"](descriptor, mode, *args, **options)

    def io_open(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        process = self._world.current
        if process is None or "w" not in mode:
            return _io_open(file, mode, *args, **options)
        return _Written(self.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))

    # Bytes

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        process = self._process("pwrite")
        if process is None:
            return int(_REAL["pwrite"](descriptor, data, offset))
        whole = bytes(data)
        self._may_die("pwrite")
        if process.disk.full:
            part = whole[: self._world.rng.randint(0, len(whole))]
            if not part or len(part) == len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            whole = part  # the rest is refused at the next call
        process.disk.write(descriptor, offset, whole)
        written = int(_REAL["pwrite"](descriptor, whole, offset))
        self._may_die("pwrite")
        return written

    def write(self, descriptor: int, data: Any) -> int:
        return self.pwrite(descriptor, data, os.lseek(descriptor, 0, os.SEEK_CUR))

    def ftruncate(self, descriptor: int, length: int) -> None:
        process = self._process("ftruncate")
        if process is not None:
            self._may_die("ftruncate")
            process.disk.write(descriptor, length, None)
        _REAL["ftruncate"](descriptor, length)

    def fsync(self, descriptor: int) -> None:
        self._sync(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        self._sync(descriptor)

    def _sync(self, descriptor: int) -> None:
        process = self._process("sync")
        if process is None:
            _REAL["fsync"](descriptor)
            return
        self._may_die("sync")
        process.disk.sync(descriptor, self._folders.get(descriptor, ""))
        self._may_die("synced")

    # Names

    def replace(self, source: Any, target: Any, **options: Any) -> None:
        self._move("replace", source, target, options)

    def rename(self, source: Any, target: Any, **options: Any) -> None:
        self._move("rename", source, target, options)

    def _move(self, call: str, source: Any, target: Any, options: dict[str, Any]) -> None:
        process = self._process(call)
        if process is None:
            _REAL[call](source, target, **options)
            return
        old, new = self._path(source, None), self._path(target, None)
        self._may_die(f"{call} to {new}")
        if not os.path.isdir(old):  # a folder that moves is taken to have moved for good
            process.disk.change(old)
            process.disk.change(new)
        _REAL[call](source, target, **options)
        self._may_die(f"{call} to {new}, done")

    def link(self, source: Any, target: Any, **options: Any) -> None:
        self._named("link", target, lambda: _REAL["link"](source, target, **options), space=True)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._named("unlink", path, lambda: _REAL["unlink"](path, dir_fd=dir_fd), dir_fd)

    def remove(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._named("remove", path, lambda: _REAL["remove"](path, dir_fd=dir_fd), dir_fd)

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make = lambda: _REAL["mkdir"](path, mode, dir_fd=dir_fd)  # noqa: E731
        self._named("mkdir", path, make, dir_fd, space=True)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._named("rmdir", path, lambda: _REAL["rmdir"](path, dir_fd=dir_fd), dir_fd)

    def _named(
        self,
        call: str,
        path: Any,
        change: Callable[[], None],
        dir_fd: int | None = None,
        *,
        space: bool = False,
    ) -> None:
        process = self._process(call)
        if process is None:
            change()
            return
        named = self._path(path, dir_fd)
        self._may_die(f"{call} {named}")
        if os.path.lexists(named) == (call in {"link", "mkdir"}):
            change()  # which fails and changes nothing
            return
        if space:
            self._need_space(process, named)
        process.disk.change(named)
        change()
        self._may_die(f"{call} {named}, done")

    # Small helpers

    def _process(self, call: str) -> Process | None:
        process = self._world.current
        if process is not None and not process.alive:
            raise CrashedError(call)
        return process

    def _may_die(self, what: str) -> None:
        self._world.action(what)

    def _path(self, path: Any, dir_fd: int | None) -> str:
        named = os.fspath(path)
        return named if dir_fd is None else os.path.join(self._folders[dir_fd], named)

    def _need_space(self, process: Process, path: str) -> None:
        if process.disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


class _Written(io.RawIOBase):
    """A file that is written from its beginning, by the calls above."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._offset = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self._offset)
            view = view[written:]
            self._offset += written
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)
