# SPDX-License-Identifier: Apache-2.0
"""Every failpoint of the table, and moments that nobody chose.

A server and one client have their accidents in one run, beside each other: the models
still are those of an undisturbed run, since every round waits for everybody.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.faults import moments
from tests.faults.arena import Arena
from tests.faults.case import case
from tests.faults.failpoints import Deed
from tests.faults.scene import Scene
from tests.faults.watched import Client, Server, until

#: Rounds of a sweep.
_ROUNDS = 8
#: A client that knows of the end and is killed then is not started again.
_OVER = frozenset({"client.quit.before", "client.quit.after"})
#: Points that are passed many times a round: any of these passings may be meant.
_OFTEN = {
    "server.model.sending": 20,
    "server.upload.chunk_write": 20,
    "server.upload.chunk_written": 10,
    "server.checkpoint.write": 20,
    "server.aggregate.middle": 20,
    "server.journal.before_projection": 4,
    "server.journal.after_projection": 4,
    "client.model.write": 10,
    "client.upload.chunk": 10,
    "client.disk.write": 2,
}
_SWEEP_SECONDS = 600.0
_Program = Server | Client


def _deeds(side: str, action: str, chance: random.Random, count: int | None) -> list[Deed]:
    """Return a deed for each point of a side, or for some; all of them are due from the start."""
    names = [point.name for point in moments.of_side(side)]
    if action == "kill":
        names = [name for name in names if name not in _OVER]
    drawn = chance.sample(names, len(names) if count is None else min(count, len(names)))
    return [Deed(name, action, _passing(name, chance)) for name in drawn]


def _passing(name: str, chance: random.Random) -> int:
    if name in moments.AT_THE_BEGINNING | moments.AT_THE_END:
        return 1
    return chance.randint(1, _OFTEN.get(name, 1))


class _Chain:
    """One process after the other, each with the accidents that are left.

    Args:
        start: Starts a process with deeds.
        deeds: All of them; each happens once.
    """

    def __init__(self, start: Callable[..., _Program], deeds: Sequence[Deed]) -> None:
        self._start = start
        self._left = {deed.point: deed for deed in deeds}
        self.happened: list[str] = []
        self.program = start(*deeds)

    def look(self) -> bool:
        """Start the next process if one was killed; return whether all is over."""
        code = self.program.process.poll()
        if code == -signal.SIGKILL:
            (point,) = self.program.done()
            self.happened.append(point)
            del self._left[point]
            self.program = self._start(*self._left.values())
            return False
        assert code in {None, 0}, f"{code}\n{self.program.stdout}\n{self.program.stderr}"
        return code == 0


class _Pauses(_Chain):
    """One process that stands still at one point after the other.

    Args:
        start: Starts it.
        deeds: All of them; each happens once.
        chance: Says for how long.
    """

    def __init__(
        self, start: Callable[..., _Program], deeds: Sequence[Deed], chance: random.Random
    ) -> None:
        self._chance = chance
        self._until = 0.0
        super().__init__(start, deeds)

    def look(self) -> bool:
        """Let it go on once it has stood still for long enough; return whether it has ended."""
        if self.program.is_stopped():
            if not self._until:
                self._until = time.monotonic() + self._chance.uniform(0, 0.3)
                self.happened.append("stop")
            elif time.monotonic() >= self._until:
                self._until = 0.0
                self.program.go_on()
            return False
        code = self.program.process.poll()
        assert code in {None, 0}, f"{code}\n{self.program.stdout}\n{self.program.stderr}"
        return code == 0


def sweep(arena: Arena, chance: random.Random, action: str, *, count: int | None) -> str:
    """Have an accident at points of both sides; see whether the run is as if nothing was.

    Args:
        arena: Where.
        chance: Draws order, passings and durations.
        action: ``kill`` or ``stop``.
        count: How many points of each side; None for all.
    """
    of_server = _deeds("server", action, chance, count)
    of_client = _deeds("client", action, chance, count)
    with arena.scene(kind="carry", NUM_ROUNDS=_ROUNDS) as scene:
        chains = _begin(scene, action, (of_server, of_client), chance)
        until(lambda: _all_over(chains), "the end of the run", timeout=_SWEEP_SECONDS)
        scene.finish()
        arena.undisturbed(scene)
        happened = [len(chain.happened) for chain in chains]
        planned = len(of_server) + len(of_client)
        assert sum(happened) >= planned * 0.8, f"{happened} accidents of {planned} happened"
        return f"{sum(happened)} of {planned} points"


def _all_over(chains: list[_Chain]) -> bool:
    """Look at each of them, whatever the others say."""
    return min([chain.look() for chain in chains])


def _begin(
    scene: Scene, action: str, deeds: tuple[list[Deed], list[Deed]], chance: random.Random
) -> list[_Chain]:
    def joined(*its: Deed) -> Client:
        return scene.join("site-2", *its)

    chains: list[_Chain]
    if action == "kill":
        chains = [_Chain(scene.serve, deeds[0])]
        scene.join("site-1")
        return [*chains, _Chain(joined, deeds[1])]
    chains = [_Pauses(scene.serve, deeds[0], chance)]
    scene.join("site-1")
    return [*chains, _Pauses(joined, deeds[1], chance)]


@case(
    "SWEEP-KILL",
    "SIGKILL at every failpoint of the server and of a client, in an order drawn by seed",
    "started again each time, the run finishes; counted once; same models",
)
def kills(arena: Arena, chance: random.Random) -> str:
    """One process after the other is killed, on both sides."""
    return sweep(arena, chance, "kill", count=None)


@case(
    "SWEEP-STOP",
    "SIGSTOP and SIGCONT at every failpoint of the server and of a client",
    "the run finishes without anybody being started again; same models",
)
def stops(arena: Arena, chance: random.Random) -> str:
    """Both stand still again and again."""
    return sweep(arena, chance, "stop", count=None)


@case(
    "RANDOM",
    "kills and stops of anybody at random times",
    "started again, the run finishes; counted once; same models",
)
def anybody(arena: Arena, chance: random.Random) -> str:
    """Six accidents, of the server or of either client, at times that nobody chose."""
    with arena.scene(kind="carry", NUM_ROUNDS=8) as scene:
        scene.serve()
        for name in ("site-1", "site-2"):
            scene.join(name, variables={"SECONDS": 0.2})
        done: list[str] = []
        for _ in range(6):
            begun, pause = time.monotonic(), chance.uniform(0.05, 1.5)
            until(lambda b=begun, p=pause: time.monotonic() - b >= p, "time passes")  # type: ignore[misc]
            who = chance.choice(["server", "site-1", "site-2"])
            if scene.server.process.poll() is not None:
                break
            done.append(_hurt(scene, who, chance))
        scene.finish()
        arena.undisturbed(scene)
        return ", ".join(done)


def _hurt(scene: Scene, who: str, chance: random.Random) -> str:
    victim = scene.server if who == "server" else scene.client(who)
    if chance.random() < 0.5:
        begun, pause = time.monotonic(), chance.uniform(0.1, 1)
        with suppress(ProcessLookupError):
            victim.process.send_signal(signal.SIGSTOP)
        until(lambda: time.monotonic() - begun >= pause, "time passes")
        victim.go_on()
        return f"stop {who}"
    victim.kill()
    if who == "server":
        scene.serve()
    else:
        scene.join(who, variables={"SECONDS": 0.2})
    return f"kill {who}"
