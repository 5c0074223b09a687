# SPDX-License-Identifier: Apache-2.0
"""Lines that break, stand still, lose replies or are slow. A proxy plays the network."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from mmar_runner.interfaces.observer import Topic
from tests.faults.arena import SITES, Arena, judged, trained
from tests.faults.case import case
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene
from tests.faults.watched import until
from tests.faults.weather import Weather

#: Probes of an idle connection, in ms; both sides are started with these.
_PROBES = {
    "mmar_runner.wire.limits:KEEPALIVE_TIME_MS": 2_000,
    "mmar_runner.wire.limits:KEEPALIVE_TIMEOUT_MS": 2_000,
}
#: Share of a core that a server may take while it waits for everybody.
_IDLE_SHARE = 0.5


def _wait(seconds: float) -> None:
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun >= seconds, "time passes")


@case(
    "F09",
    "one client cut off for 60 s, then back",
    "it says that nobody answers; back in by itself, no round trained twice; the others go on",
    peers=("?", "S"),
    scaled="cut off for 5 s, lease 3 s",
)
def partition(arena: Arena, chance: random.Random) -> str:
    """Hold all its bytes, at a moment drawn by seed; the process stays the same."""
    number = chance.randint(0, 1)
    lease = arena.duration(3, 30)
    # The run must last longer than the partition: a client cannot know that it is over.
    rounds, work = 8, {"SECONDS": arena.duration(1, 8)}
    with arena.scene(tls=chance.random() < 0.5, LEASE=lease, NUM_ROUNDS=rounds, WAIT=2) as scene:
        scene.serve()
        with Proxy(scene.listen) as proxy:
            cut = scene.join("site-3", address=proxy.address, variables=work)
            for name in SITES[:2]:
                scene.join(name, variables=work)
            cut.wait_for(Topic.TRAINING, round=number)
            _wait(chance.uniform(0, 0.8))
            proxy.set(held=True)
            _wait(arena.duration(5, 60))
            proxy.set(held=False)
            scene.finish()
        judged(scene)
        assert all(times == 1 for times in trained(scene, "site-3").values()), "trained twice"
        assert len(scene.clients["site-3"]) == 1
        return f"{len(scene.observed('site-3', Topic.SUBMITTED))} of {rounds} rounds counted"


@case(
    "F10",
    "a connection stands still without FIN, for ever; new ones work",
    "the client finds out by probes (20 s and 20 s) and goes on over a new connection; same models",
    peers=("heartbeats only", "server probes, 210 s"),
    scaled="probes after 2 s, 2 s long",
)
def half_open(arena: Arena, chance: random.Random) -> str:
    """Abandon one client's connection at a moment drawn by seed."""
    number, takes = chance.randint(0, 2), chance.random() < 0.5
    probes = {} if arena.nominal else _PROBES
    with arena.scene(tls=chance.random() < 0.5) as scene:
        scene.serve(constants=probes)
        scene.join("site-1", variables={"SECONDS": 0.3})
        with Proxy(scene.listen) as proxy:
            options = {"address": proxy.address, "variables": {"SECONDS": 0.3}}
            client = scene.join("site-2", constants=probes, **options)
            client.wait_for(Topic.TRAINING, round=number)
            _wait(chance.uniform(0, 0.6))
            before = proxy.connections
            proxy.abandon(takes=takes)
            begun = time.monotonic()
            until(lambda: proxy.connections > before, "a new connection")
            seconds = time.monotonic() - begun
            scene.finish()
        arena.undisturbed(scene)
        assert set(trained(scene, "site-2").values()) == {1}, "trained twice"
        how = "thrown away" if takes else "kept"
        return f"{seconds:.1f} s to a new connection; bytes {how}"


@case(
    "F11",
    "all clients cut off, then back",
    "the round stays open, the server does not spin, the round goes on; same models",
    peers=("?", "waits"),
    scaled="cut off for 5 s, lease 3 s",
)
def all_cut_off(arena: Arena, chance: random.Random) -> str:
    """Cut both off, by holding their bytes or by refusing them."""
    number, refuses = chance.randint(0, 1), chance.random() < 0.5
    with arena.scene(LEASE=arena.duration(3, 30)) as scene:
        server = scene.serve()
        with Proxy(scene.listen) as proxy:
            for name in SITES[:2]:
                scene.join(name, address=proxy.address, variables={"SECONDS": 0.5})
            scene.client("site-1").wait_for(Topic.TRAINING, round=number)
            begun = _cpu_seconds(server.process.pid)
            if refuses:
                proxy.refuse(refusing=True)
                proxy.reset()
            else:
                proxy.set(held=True)
            seconds = arena.duration(5, 60)
            _wait(seconds)
            share = (_cpu_seconds(server.process.pid) - begun) / seconds
            proxy.refuse(refusing=False)
            proxy.set(held=False)
            scene.finish()
        arena.undisturbed(scene)
        assert share < _IDLE_SHARE, f"the server took {share:.0%} of a core"
        return f"{share:.0%} of a core meanwhile"


@case(
    "F12",
    "a line of 256 kbit/s and 300 ms, a model of 50 MB",
    "it finishes; bytes that come are a sign of life: nobody is taken for dead; same models",
    peers=("S", "chunks of objects"),
    scaled="0.6 MB at 1.2 Mbit/s and 20 ms, lease 3 s",
)
def slow_line(arena: Arena, chance: random.Random) -> str:
    """One client of two sits behind a slow line; a transfer takes longer than a lease."""
    weather = Weather(
        rate=arena.duration(150_000, 32_000),
        delay=arena.duration(0.02, 0.15),
        slice=chance.choice([1400, 4096, 16384]) if not arena.nominal else 32_768,
    )
    size, rounds = arena.duration(0.6, 50), 1
    lease = arena.duration(3, 30)
    with arena.scene(tls=True, LEASE=lease, MODEL_MB=size, NUM_ROUNDS=rounds) as scene:
        server = scene.serve()
        scene.join("site-1")
        with Proxy(scene.listen, weather) as proxy:
            begun = time.monotonic()
            scene.join("site-2", address=proxy.address)
            scene.finish(timeout=3 * 3600 if arena.nominal else 90)
            seconds = time.monotonic() - begun
        arena.undisturbed(scene)
        left = [seen["reason"] for seen in server.observations(Topic.CLIENT_LEFT)]
        assert not [reason for reason in left if "nothing was heard" in reason], left
        return f"{seconds:.0f} s for one round"


@case(
    "LOST-REPLY",
    "replies are lost, or the line is reset after some bytes of them: the update is counted, "
    "its receipt does not arrive",
    "the client asks again and hears that it was counted; counted once; same models",
)
def lost_replies(arena: Arena, chance: random.Random) -> str:
    """Throw away what comes down once a round is being trained; then reset the line."""
    number = chance.randint(0, 2)
    with arena.scene(tls=chance.random() < 0.5) as scene:
        server = scene.serve()
        scene.join("site-1", variables={"SECONDS": 0.4})
        with Proxy(scene.listen) as proxy:
            client = scene.join("site-2", address=proxy.address, variables={"SECONDS": 0.4})
            client.wait_for(Topic.TRAINING, round=number)
            how = chance.choice(["drop", "reset", "swallow"])
            if how == "drop":
                proxy.drop_after(chance.randint(0, 200))
            elif how == "reset":
                _wait(chance.uniform(0.2, 0.8))
                proxy.reset()
            else:
                # The upload waits for its credits: only one that has them is counted unheard.
                until(lambda: client.passings("client.upload.half"), "half of the update")
                proxy.set(swallows_replies=True, newcomers=False)
                _counted_or_not(scene, server, number)
                proxy.reset()
            scene.finish()
        arena.undisturbed(scene)
        assert set(trained(scene, "site-2").values()) == {1}, "trained twice"
        seen = scene.observed("site-2", Topic.SUBMITTED, round=number)
        return f"{how}: {'counted before' if seen[0]['duplicate'] else 'sent again'}"


def _counted_or_not(scene: Scene, server: object, number: int) -> None:
    """Wait until the update is on record, or a moment if it stands still before that."""
    begun = time.monotonic()

    def is_over() -> bool:
        story = judged(scene, finished=False)
        return "site-2" in story.accepted.get(number, {}) or time.monotonic() - begun > 3

    until(is_over, "the update is counted")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
