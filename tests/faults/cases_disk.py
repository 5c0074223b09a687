# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or refuse. Those of a server are real ones and need root."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmar_runner.interfaces.observer import Topic
from tests.faults.arena import SITES, Arena, judged
from tests.faults.case import NotHereError, case
from tests.faults.failpoints import Deed
from tests.faults.scene import Scene
from tests.faults.watched import Server, until

_DISK = "24m"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of 24 MB.

    Raises:
        NotHereError: That needs root.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        msg = "mounting a small disk needs root"
        raise NotHereError(msg)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write until no byte fits any more; return the file that takes the space."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 64 << 10
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return filler


@case(
    "F17",
    "the server's disk is full: as an update arrives, and as the model is saved",
    "nothing is acknowledged that is not stored; DISK_FULL is said; once there is space the same "
    "process goes on; same models",
    peers=("?", "?"),
)
def server_disk(arena: Arena, chance: random.Random) -> str:
    """Fill it at both stores in turn, at moments when the server holds still."""
    store = chance.choice(
        ["server.upload.begun", "server.upload.chunk_written", "server.spool.before_fsync"]
    )
    saving = chance.choice(["server.aggregate.begun", "server.checkpoint.before_write"])
    with arena.scene() as scene, small_disk(scene.workspace) as disk:
        server = scene.serve(Deed(store, "stop"), Deed(saving, "stop"))
        for name in SITES[:2]:
            scene.join(name)
        _full_meanwhile(scene, server, disk, saving=False)
        _full_meanwhile(scene, server, disk, saving=True)
        scene.finish()
        arena.undisturbed(scene)
        assert len(scene.servers) == 1
        return "both stores"


def _full_meanwhile(scene: Scene, server: Server, disk: Path, *, saving: bool) -> None:
    until(server.is_stopped, "the server stands still")
    filler = fill(disk)
    server.go_on()
    if saving:
        until(lambda: "DISK_FULL" in _told(server), "the server says that its disk is full")
    else:
        until(lambda: any("No space" in _told(scene.client(n)) for n in SITES[:2]), "it is said")
    judged(scene, finished=False)  # what a client was told is on record, whatever had room
    assert server.process.poll() is None
    filler.unlink()


def _told(program: object) -> str:
    return "".join(
        str(seen["message"])
        for seen in program.observations(Topic.WAITING)  # type: ignore[attr-defined]
    )


@case(
    "F18",
    "a client's disk is full or broken while it receives, trains or keeps what it made",
    "the task fails with the reason or waits for space; the session lives; same models if every "
    "round counted it",
    peers=("?", "?"),
)
def client_disk(arena: Arena, chance: random.Random) -> str:
    """Refuse one or two writes of one of three clients."""
    point = chance.choice(["client.model.write", "client.disk.write"])
    error = chance.choice(["ENOSPC", "EIO", "EROFS"])
    # The first things that are written are what the client and its run are known by.
    deed = Deed(point, error, chance.randint(3, 8), times=chance.randint(1, 2))
    with arena.scene(kind="carry", WAIT=2) as scene:
        scene.serve()
        for name in SITES:
            scene.join(name, *([deed] if name == "site-3" else []), variables={"SECONDS": 0.3})
        scene.finish()
        story = judged(scene)
        if all(set(of_round) == set(SITES) for of_round in story.accepted.values()):
            assert scene.hashes() == arena.reference(scene, SITES), "the models are others"
        client = scene.client("site-3")
        assert error in client.passings(point), "nothing was refused"
        assert len(scene.clients["site-3"]) == 1
        counted = len(scene.observed("site-3", Topic.SUBMITTED))
        return f"{error}: {counted} of 4 rounds counted"
