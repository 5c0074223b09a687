# SPDX-License-Identifier: Apache-2.0
"""Servers that are killed when their run is over and not everybody has heard of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningServer
from tests.faults.arena import TWO, Arena
from tests.faults.failpoints import Deed
from tests.faults.scene import Scene
from tests.faults.watched import Server, until


def kinds(scene: Scene) -> list[str]:
    lines = (scene.workspace / "run_1" / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["kind"] for line in lines]


def killed_at_the_end(scene: Scene, point: str) -> Server:
    """Run everything up to the end that nobody, or not everybody, is told of."""
    server = scene.serve(Deed(point, "kill"))
    for name in TWO:
        scene.join(name)
    scene.killed(server)
    assert not (scene.workspace / "run_1" / "updates" / "round_0000").exists()
    return server


@pytest.mark.parametrize("point", ["server.end.recorded", "server.end.told"])
def test_the_same_command_tells_the_end_and_begins_no_run(tmp_path: Path, point: str) -> None:
    arena = Arena(tmp_path)
    with arena.scene(NUM_ROUNDS=2, MODEL_MB=0.1) as scene:
        killed_at_the_end(scene, point)
        said = (scene.workspace / "run_1" / "summary.json").read_bytes()
        assert "run_settled" not in kinds(scene)
        scene.serve()
        scene.finish()
        scene.server.wait_for(Topic.LISTENING, run_number=1, resumed=True, ended="finished")
        assert scene.server.observations(Topic.RUN_ENDED, status="finished")
        assert not scene.server.observations(Topic.ROUND_STARTED)
        assert (scene.workspace / "run_1" / "summary.json").read_bytes() == said
        assert not (scene.workspace / "run_2").exists()
        assert kinds(scene).count("run_settled") == 1
        assert (
            json.loads((scene.workspace / "run_1" / "status.json").read_bytes())["status"]
            == "finished"
        )
        arena.undisturbed(scene)

        following = scene.serve()
        following.wait_for(Topic.LISTENING, run_number=2, before="finished", ended="")


def test_a_new_run_is_begun_at_once_if_it_is_asked_for(tmp_path: Path) -> None:
    with Arena(tmp_path).scene(NUM_ROUNDS=1, MODEL_MB=0.1) as scene:
        killed_at_the_end(scene, "server.end.recorded")
        with RunningServer(
            scene.mmar,
            scene.workspace,
            "--new-run",
            variables=scene.variables,
            listen=scene.listen,
        ) as server:
            server.wait_for(Topic.LISTENING, run_number=2, before="finished")
            # Nobody told them: as far as they know, the run goes on, and this is it.
            server.wait_for(Topic.ROUND_STARTED, round=0)


def test_how_many_are_waited_for_is_said(tmp_path: Path) -> None:
    with Arena(tmp_path).scene(NUM_ROUNDS=1, MODEL_MB=0.1) as scene:
        server = killed_at_the_end(scene, "server.end.recorded")
        for name in TWO:
            scene.client(name).kill()
        again = scene.serve()
        message = "up to 10 s for 2 clients to hear of the end"
        again.wait_for(Topic.WAITING, message=message)
        again.terminate()
        assert again.wait() == 0, again.stderr
        assert "run_settled" not in kinds(scene), "it was cut short: it is done again"
        until(lambda: server.process.poll() is not None, "the end of the first server")
