# SPDX-License-Identifier: Apache-2.0
"""The server is killed: between rounds, in a round, while it sums, while it saves."""

from __future__ import annotations

import random
import time
from hashlib import sha256

from mmar_runner.interfaces.observer import Topic
from tests.faults.arena import SITES, Arena, judged, trained
from tests.faults.case import case
from tests.faults.failpoints import Deed
from tests.faults.scene import Scene
from tests.faults.watched import said_at, until

#: Within how many seconds of its listening the next round must be under way.
_BACK_SECONDS = 5.0
_CHECKPOINT = (
    "server.checkpoint.before_write",
    "server.checkpoint.before_fsync",
    "server.checkpoint.before_rename",
    "server.checkpoint.after_rename",
)


@case(
    "F01",
    "server killed between rounds, back after 30 s",
    "clients reconnect by themselves; the next round is under way within 5 s of listening; "
    "same models",
    peers=("L: resubmit", "S with a database"),
    scaled="outage 6 s",
)
def between_rounds(arena: Arena, chance: random.Random) -> str:
    """Kill it after a round is on record, and let nobody answer for a while."""
    point = chance.choice(
        ["server.round.after_commit", "server.updates.after_delete", "server.round.forgotten"]
    )
    with arena.scene(tls=True) as scene:
        scene.serve(Deed(point, "kill", chance.randint(1, 3)))
        for name in SITES[:2]:
            scene.join(name)
        scene.killed(scene.server)
        killed = time.time()
        until(lambda: time.time() - killed >= arena.duration(6, 30), "the outage")
        scene.serve()
        scene.finish()
        arena.undisturbed(scene)
        return f"{_seconds_until_all_are_back(scene):.1f} s"


def _seconds_until_all_are_back(scene: Scene) -> float:
    listening = said_at(scene.server, Topic.LISTENING)[0]
    back = []
    for name in SITES[:2]:
        topics = (Topic.REGISTERED, Topic.MODEL_RECEIVED, Topic.SUBMITTED)
        seen = sorted(t for topic in topics for t in said_at(scene.client(name), topic))
        back.append(next(t for t in seen if t >= listening))
    seconds = max(back) - listening
    assert seconds <= _BACK_SECONDS, f"the clients were back after {seconds:.1f} s"
    return seconds


@case(
    "F02",
    "server killed in a round, k of n updates acknowledged",
    "acknowledged updates are on disk; the same round goes on; who was acknowledged does not "
    "train again; same models",
    peers=("L", "L"),
)
def mid_round(arena: Arena, chance: random.Random) -> str:
    """Kill it once one or two of three clients have their receipt."""
    acknowledged, number = chance.randint(1, 2), chance.randint(0, 2)
    with arena.scene(tls=chance.random() < 0.5, MIN_NUM_CLIENTS=3) as scene:
        scene.serve()
        for index, name in enumerate(SITES):
            scene.join(name, variables={"SECONDS": 0 if index < acknowledged else 1.5})
        quick = SITES[:acknowledged]
        for name in quick:
            scene.client(name).wait_for(Topic.SUBMITTED, round=number)
        scene.server.kill()
        story = judged(scene, finished=False)
        assert set(quick) <= set(story.accepted[number])
        scene.serve()
        scene.finish()
        arena.undisturbed(scene, SITES)
        assert all(trained(scene, name)[number] == 1 for name in quick), "trained again"
        return f"{acknowledged} of 3 kept"


@case(
    "F03",
    "server killed in the middle of the aggregation",
    "the sum is made again from the stored updates; same models",
    peers=("L", "L"),
)
def mid_aggregation(arena: Arena, chance: random.Random) -> str:
    """Kill it before the first block, or after any one."""
    deed = chance.choice(
        [
            Deed("server.aggregate.begun", "kill", chance.randint(1, 4)),
            Deed("server.aggregate.middle", "kill", chance.randint(1, 80)),
            Deed("server.checkpoint.write", "kill", chance.randint(1, 80)),
        ]
    )
    with arena.scene(tls=chance.random() < 0.5) as scene:
        scene.serve(deed)
        for name in SITES[:2]:
            scene.join(name)
        scene.killed(scene.server)
        scene.serve()
        scene.finish()
        arena.undisturbed(scene)
        for name in SITES[:2]:
            assert set(trained(scene, name).values()) == {1}, "trained again"
        return "no round trained again"


@case(
    "F04",
    "server killed while it saves the model: before and after writing, before the rename, "
    "after it and before the journal",
    "the old model or the new one, never a mixture, at 4 of 4 points; same models",
    peers=("S for the file, the run L", "left to the app"),
)
def mid_checkpoint(arena: Arena, chance: random.Random) -> str:
    """Kill it at all four points, one round after the other, in an order drawn by seed."""
    points = chance.sample(_CHECKPOINT, len(_CHECKPOINT))
    durability = chance.choice(["full", "process"])
    with arena.scene(durability=durability, NUM_ROUNDS=5) as scene:
        reference = arena.reference(scene)
        scene.serve(Deed(points[0], "kill"))
        for name in SITES[:2]:
            scene.join(name)
        for number, point in enumerate(points):
            scene.killed(scene.server)
            _old_or_new(scene, reference, number, renamed=point == _CHECKPOINT[-1])
            # The round that was not recorded is summed again: its moment comes once more.
            following = points[number + 1 : number + 2]
            scene.serve(*(Deed(later, "kill", 2) for later in following))
        scene.finish()
        arena.undisturbed(scene)
        return f"{len(points)} of {len(points)} points"


def _old_or_new(scene: Scene, reference: list[str], number: int, *, renamed: bool) -> None:
    """Look at what a kill in round ``number`` left of its result."""
    judged(scene, finished=False)
    result = scene.workspace / "run_1" / "models" / f"round_{number + 1:04d}.safetensors"
    assert result.exists() == renamed
    if renamed:
        assert sha256(result.read_bytes()).hexdigest() == reference[number]
