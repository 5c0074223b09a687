# SPDX-License-Identifier: Apache-2.0
"""What happens to a tree whose combiners are hurt."""

from __future__ import annotations

import random

from mmar_runner.interfaces.observer import Topic
from tests.faults.arena import SITES, Arena
from tests.faults.case import case

#: Moments of a combiner's round: its clients are at work, some have answered, its sum has gone up.
_MOMENTS = {
    "at work": Topic.ROUND_STARTED,
    "updates": Topic.UPDATE_ACCEPTED,
    "sum sent": Topic.SUBMITTED,
}


@case(
    "F24",
    "a combiner is killed in the middle of a round",
    "its clients are assigned to another; the round completes with the same contributors, same "
    "models; a combiner that comes back disturbs nothing",
    peers=("n/a", "n/a"),
    scaled="lease 4 s",
)
def combiner_killed(arena: Arena, chance: random.Random) -> str:
    """Which combiner, in which round, at which moment, and whether it comes back: by seed."""
    number, victim = chance.randint(0, 2), chance.randint(0, 1)
    moment, returns = chance.choice(sorted(_MOMENTS)), chance.random() < 0.5
    counts = {"MIN_NUM_CLIENTS": len(SITES), "LEASE": arena.duration(4, 30)}
    with arena.scene(**counts) as scene:
        scene.server_options = ("--assign",)
        server = scene.serve()
        combiners = [scene.combine(name) for name in ("east", "west")]
        for combiner in combiners:
            combiner.wait_for(Topic.REGISTERED)
        for name in SITES:
            scene.join(name, asks=True, variables={"SECONDS": 0.5})
        combiners[victim].wait_for(_MOMENTS[moment], round=number)
        combiners[victim].kill()
        name = ("east", "west")[victim]
        if returns:
            server.wait_for(Topic.CLIENT_LEFT, client=name)
            combiners[victim] = scene.combine(name)
        scene.finish()
        rounds = server.summary()["rounds"]
        for entry in rounds:
            counted = [share["client"].rpartition("/")[2] for share in entry["contributions"]]
            assert sorted(counted) == sorted(SITES), f"{counted} in round {entry['round']}"
        assert scene.hashes() == arena.reference(scene, SITES), "the models are others"
        moved = len(server.observations(Topic.ASSIGNED, before=name))
        return f"{moment}, {moved} moved{', came back' if returns else ''}"
