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
from tests.faults.arena import Arena, Scene
from tests.faults.case import case
from tests.faults.failpoints import Deed
from tests.faults.scene import Client, Server, until

#: Rounds a run has for each accident, so that there is one left for it to happen in.
_ROUNDS_EACH = 1
_SPARE_ROUNDS = 3
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
    """Return a deed for each point of a side, or for some, in an order that can be played."""
    names = [point.name for point in moments.of_side(side)]
    drawn = chance.sample(names, len(names) if count is None else min(count, len(names)))
    first = [name for name in drawn if name in moments.AT_THE_BEGINNING]
    last = [name for name in names if name in drawn and name in moments.AT_THE_END]
    middle = [name for name in drawn if name not in {*first, *last}]
    order = [name for name in names if name in first] + middle + last
    return [Deed(name, action, chance.randint(1, _OFTEN.get(name, 1))) for name in order]


class _Chain:
    """One process after the other, each with its accident.

    Args:
        start: Starts a process with deeds.
        deeds: One after the other.
    """

    def __init__(self, start: Callable[..., _Program], deeds: Sequence[Deed]) -> None:
        self._start = start
        self._left = list(deeds)
        self.happened: list[str] = []
        self.program = self._next()

    def _next(self) -> _Program:
        self._deed = self._left.pop(0) if self._left else None
        return self._start(*([self._deed] if self._deed else []))

    def look(self) -> bool:
        """Go on if the accident has happened; return whether all is over."""
        deed, code = self._deed, self.program.process.poll()
        if deed is not None and self._has_happened(deed, code):
            self.happened.append(deed.point)
            if deed.action == "kill":
                self.program = self._next()
                return False
            self._let_go_on()
        if code is None:
            return False
        assert code == 0, f"exit code {code}\n{self.program.stdout}\n{self.program.stderr}"
        return True

    def _has_happened(self, deed: Deed, code: int | None) -> bool:
        return code == -signal.SIGKILL if deed.action == "kill" else self.program.is_stopped()

    def _let_go_on(self) -> None:
        self.program.go_on()


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
        super().__init__(lambda *_: start(*deeds), deeds)

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
    rounds = max(len(of_server), len(of_client)) * _ROUNDS_EACH + _SPARE_ROUNDS
    if action == "stop":
        rounds = 8
    with arena.scene(kind="carry", NUM_ROUNDS=rounds, tls=False) as scene:
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
