# SPDX-License-Identifier: Apache-2.0
"""A client is killed, its trainer fails, it comes late, or it leaves."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

from mmar_runner.interfaces.observer import Topic
from tests.faults.arena import SITES, Arena, judged, summary_of, trained
from tests.faults.case import case
from tests.faults.failpoints import Deed
from tests.faults.scene import Scene
from tests.faults.watched import until


@case(
    "F06",
    "client killed while it trains",
    "the others go on; started again it has the same identity and works in the round that is "
    "open; same models if that still is the round it was killed in",
    peers=("S after 660 s", "S"),
    scaled="lease 4 s",
)
def mid_training(arena: Arena, chance: random.Random) -> str:
    """Kill one of three in training; start it at once, or once the others have gone on."""
    at_once, number = chance.random() < 0.5, chance.randint(0, 1)
    moment = Deed("client.train.before", "kill", number + 1)
    lease = arena.duration(4, 30)
    with arena.scene(
        tls=chance.random() < 0.5, MIN_NUM_CLIENTS=2, LEASE=lease, WAIT=lease / 2, NUM_ROUNDS=5
    ) as scene:
        scene.serve()
        for name in SITES:
            scene.join(name, *([moment] if name == "site-3" else []), variables={"SECONDS": 0.5})
        scene.killed(scene.client("site-3"))
        if not at_once:
            scene.server.wait_for(Topic.ROUND_FINISHED, round=number)
        scene.join("site-3")
        scene.finish()
        story = judged(scene)
        missed = [k for k, of_round in story.accepted.items() if "site-3" not in of_round]
        if not missed:
            assert scene.hashes() == arena.reference(scene, SITES)
        assert scene.observed("site-3", Topic.SUBMITTED), "it was never counted"
        keys = {e["client"]: e for e in scene.server.observations(Topic.CLIENT_JOINED)}
        assert set(keys) == set(SITES)
        return f"{len(missed)} rounds without it"


@case(
    "F07",
    "client killed when half of its update is sent",
    "the part counts nowhere; started again it goes on at the byte where it was; nothing is "
    "left in the staging folder; same models",
    peers=("?", "?"),
)
def mid_upload(arena: Arena, chance: random.Random) -> str:
    """Kill it as half of the bytes have left; count what the second process sends."""
    number = chance.randint(0, 2)
    with arena.scene(tls=chance.random() < 0.5, MODEL_MB=10, NUM_ROUNDS=3) as scene:
        scene.serve()
        scene.join("site-1")
        client = scene.join("site-2", Deed("client.upload.half", "kill", number + 1))
        scene.killed(client)
        part = scene.workspace / "run_1" / "updates" / f"round_{number:04d}" / "site-2.part"
        until(part.exists, "the server keeps what came")
        story = judged(scene, finished=False)
        assert "site-2" not in story.accepted.get(number, {}), "half of an update was counted"
        kept = json.loads(part.with_name(f"{part.name}.json").read_text())
        again = scene.join("site-2")
        again.wait_for(Topic.SUBMITTED, round=number)
        assert not again.passings("client.upload.whole"), "all of it was sent again"
        scene.finish()
        arena.undisturbed(scene)
        return f"went on after {kept['offset'] / kept['total_bytes']:.0%}"


@case(
    "F13",
    "a straggler that never answers, and one that answers too late",
    "the round closes with the minimum and after the wait; the late update is refused as "
    "ROUND_MISMATCH, and its client works on",
    peers=("S", "S after 3600 s"),
    scaled="wait 1 s",
)
def straggler(arena: Arena, chance: random.Random) -> str:
    """One of three is slower than the wait, or does not come back from a round at all."""
    hangs = chance.random() < 0.5
    slow = {"SECONDS": round(chance.uniform(2.5, 4), 2)}
    hanging = {"FAIL_IN_ROUND": 1, "BEHAVIOUR": "hang"}
    with arena.scene(WAIT=arena.duration(1, 10), NUM_ROUNDS=4) as scene:
        scene.serve()
        for name in SITES[:2]:
            scene.join(name, variables={"SECONDS": 0.4})
        late = scene.join("site-3", variables=hanging if hangs else slow)
        scene.server.wait_for(Topic.ROUND_STARTED, round=2)
        if not hangs:
            late.wait_for(Topic.REFUSED, reason="ROUND_MISMATCH")
        scene.finish()
        story = judged(scene)
        assert all(set(SITES[:2]) <= set(of_round) for of_round in story.accepted.values())
        if hangs:
            assert not [k for k, of_round in story.accepted.items() if k and "site-3" in of_round]
        return "hung" if hangs else "late"


@case(
    "F14",
    "a client joins at round 3; one leaves with Quit; one leaves silently",
    "all three are handled, and it is said who left, why and when",
    peers=("S", "S"),
    scaled="lease 4 s",
)
def coming_and_going(arena: Arena, chance: random.Random) -> str:
    """site-1 stays; site-2 comes late; site-3 quits or dies, at a moment drawn by seed."""
    silently = chance.random() < 0.5
    leaves_in = chance.randint(0, 1)
    lease = arena.duration(4, 30)
    with arena.scene(MIN_NUM_CLIENTS=1, LEASE=lease, NUM_ROUNDS=6, WAIT=2 * lease) as scene:
        server = scene.serve()
        scene.join("site-1", variables={"SECONDS": 0.5})
        leaver = scene.join("site-3", variables={"SECONDS": 0.5})
        leaver.wait_for(Topic.TRAINING, round=leaves_in)
        leaver.process.send_signal(signal.SIGKILL if silently else signal.SIGTERM)
        code = leaver.wait()
        assert code == (-signal.SIGKILL if silently else 3), f"exit code {code}"
        leaver.gone = True
        left = server.wait_for(Topic.CLIENT_LEFT, client="site-3")
        assert ("nothing was heard" in left["reason"]) == silently, left["reason"]
        server.wait_for(Topic.ROUND_STARTED, round=3)
        scene.join("site-2")
        scene.finish()
        story = judged(scene)
        assert all("site-1" in of_round for of_round in story.accepted.values())
        assert not [k for k, of_round in story.accepted.items() if k < 3 and "site-2" in of_round]
        joined = [k for k, of_round in story.accepted.items() if "site-2" in of_round]
        return f"{'silently' if silently else 'quit'}; the late one counted {len(joined)} times"


@case(
    "F23",
    "trainer code raises, exits, dies of a signal, hangs, gives NaN, eats memory",
    "it is a child process: TASK_FAILED with the reason, the session lives, the task is given "
    "again once; same models if it then succeeds",
    peers=("S", "S"),
    scaled="task limit 4 s",
)
def trainer_fails(arena: Arena, chance: random.Random) -> str:
    """One way to fail a seed; the second attempt succeeds."""
    way = chance.choice(["raise", "exit", "nan", "hang", "segfault", "eat"])
    number = chance.randint(0, 2)
    failing = {"FAIL_IN_ROUND": number, "BEHAVIOUR": way, "FAIL_TIMES": 1}
    with arena.scene(kind="carry", NUM_ROUNDS=4) as scene:
        scene.serve()
        scene.join("site-1")
        limit = ("--task-timeout", f"{arena.duration(6, 30):g}") if way == "hang" else ()
        client = scene.join("site-2", options=limit, variables=failing)
        scene.finish()
        arena.undisturbed(scene)
        (rejected,) = summary_of(scene)["rounds"][number]["rejected"]
        assert rejected["client"] == "site-2"
        assert len(scene.clients["site-2"]) == 1, "the session lives"
        _failed_once(scene, client.workspace, number)
        return f"{way}: {rejected['reason'].split(':')[0]}"


def _failed_once(scene: Scene, workspace: Path, number: int) -> None:
    times = trained(scene, "site-2")
    assert times[number] == 2, f"trained {times}"
    assert (workspace / "run_1").is_dir()
