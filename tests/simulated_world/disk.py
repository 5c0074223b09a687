# SPDX-License-Identifier: Apache-2.0
"""What a machine's disk keeps when its power is cut: what was synced, and chance's part.

The files are real ones. Beside them stands what is known to be durable: of every file that
was written since its last sync, its bytes then and every write since; of every name that
was given or taken since the last sync of its folder, what it meant before. Any part of
what was not synced may survive, as POSIX allows: a write whole, torn at any byte or not at
all, a name with its old meaning or a newer one, each for itself.
"""

# Paths are strings here, as in the calls that this is about.
# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH116, PTH118, PTH123

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulated_world.world import World

#: What a name means: a file, a folder, or nothing.
_FOLDER = "folder"
_ZEROS = b"\0"


class Inode:
    """The bytes of one file: as they were last synced, and what was written since.

    Args:
        base: The bytes that are durable.
    """

    def __init__(self, base: bytes) -> None:
        self.base = base
        self.writes: list[tuple[int, bytes | None]] = []  # None cuts or extends to a length
        self._survived: bytes | None = None

    def sync(self) -> None:
        """Have everything survive that was written so far."""
        self.base = _written(self.base, self.writes)
        self.writes = []

    def survived(self, world: World) -> bytes:
        """Return what is there after the power was cut; the same however often."""
        if self._survived is None:
            self._survived = _written(self.base, self._survivors(world))
        return self._survived

    def _survivors(self, world: World) -> list[tuple[int, bytes | None]]:
        mode = world.rng.randrange(3)
        if mode == 0:
            return []
        if mode == 1:
            return self.writes
        return [
            (at, data if data is None else data[: world.rng.randint(0, len(data))])
            for at, data in self.writes
            if world.chance(0.5)
        ]


class Disk:
    """The disk of one machine.

    Args:
        world: Where it lives.
        root: The folder that stands for it.
        can_lose: Whether the power may ever be cut; else nothing need be noted.

    Attributes:
        journals: Journals by path.
        journal: The one that was opened last.
        full_until: When there is space again.
        boots: How often the machine was started.
    """

    def __init__(self, world: World, root: Path, *, can_lose: bool) -> None:
        self.world, self.root, self.can_lose = world, root, can_lose
        self.journals: dict[str, Any] = {}
        self.journal: Any = None
        self.full_until = 0.0
        self.boots = 1
        self._inodes: dict[int, Inode] = {}
        self._names: dict[str, dict[str, list[Inode | str | None]]] = {}

    @property
    def full(self) -> bool:
        """Whether no space is left."""
        return self.world.now < self.full_until

    # What is about to change

    def write(self, descriptor: int, offset: int, data: bytes | None) -> None:
        """Note that bytes are about to be written, or (None) a file cut to a length."""
        if self.can_lose:
            number = os.fstat(descriptor).st_ino
            inode = self._inodes.get(number)
            if inode is None:
                inode = self._inodes[number] = Inode(_content(f"/proc/self/fd/{descriptor}"))
            inode.writes.append((offset, data))

    def change(self, path: str) -> None:
        """Note that a name is about to mean something else."""
        if not self.can_lose:
            return
        folder, name = os.path.split(path)
        self._names.setdefault(folder, {}).setdefault(name, []).append(self._meaning(path))

    def created(self, descriptor: int) -> None:
        """Note that a file was made: nothing of it is durable."""
        if self.can_lose:
            self._inodes[os.fstat(descriptor).st_ino] = Inode(b"")

    def sync(self, descriptor: int, path: str) -> None:
        """Note that a file, or a folder, was synced."""
        if not self.can_lose:
            return
        if path in self._names:
            del self._names[path]
        inode = self._inodes.get(os.fstat(descriptor).st_ino)
        if inode is not None:
            inode.sync()

    # What happens when the power is cut

    def lose_power(self) -> None:
        """Lose what was not synced, or some of it; then the machine starts again."""
        self.boots += 1
        names, self._names = self._names, {}
        self.full_until = 0.0
        live = {number: inode for number, inode in self._inodes.items() if inode.writes}
        self._inodes = {}
        self._tear(live)
        for folder in sorted(names):
            if not os.path.isdir(folder):
                continue  # it was lost itself
            for name, meanings in names[folder].items():
                choice = self.world.rng.randint(0, len(meanings))
                if choice < len(meanings):
                    self._restore(os.path.join(folder, name), meanings[choice])

    def _tear(self, live: dict[int, Inode]) -> None:
        """Give every file that is there the bytes that survived."""
        if not live:
            return
        for folder, _, files in sorted(os.walk(self.root)):
            for name in sorted(files):
                path = os.path.join(folder, name)
                inode = live.get(os.stat(path).st_ino)
                if inode is not None:
                    _rewrite(path, inode.survived(self.world))

    def _restore(self, path: str, meaning: Inode | str | None) -> None:
        if os.path.isdir(path):
            if meaning == _FOLDER:
                return
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        if meaning == _FOLDER:
            os.mkdir(path)
        elif isinstance(meaning, Inode):
            _rewrite(path, meaning.survived(self.world))

    def _meaning(self, path: str) -> Inode | str | None:
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if os.path.isdir(path):
            return _FOLDER
        return self._inodes.setdefault(found.st_ino, Inode(_content(path)))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _rewrite(path: str, content: bytes) -> None:
    if os.path.lexists(path):
        os.chmod(path, 0o600)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o600)


def _written(base: bytes, writes: list[tuple[int, bytes | None]]) -> bytes:
    content = bytearray(base)
    for offset, data in writes:
        if data is None:
            del content[offset:]
        length = offset if data is None else offset + len(data)
        content.extend(_ZEROS * (length - len(content)))
        if data:
            content[offset:length] = data
    return bytes(content)
