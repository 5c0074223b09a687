# SPDX-License-Identifier: Apache-2.0
"""Every wait of a run is visible: in ``status.json``, and by ``mmar-runner status``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}


class Scene:
    """A server, clients whose training takes as long as a test wants, and what is told."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.workspace = folder / "ws"
        self._listen = f"127.0.0.1:{free_port()}"

    def serve(self) -> RunningServer:
        server = RunningServer(ECHO, self.workspace, variables=VARIABLES, listen=self._listen)
        self._stack.enter_context(server).address()
        return server

    def join(self, name: str, *, seconds: float = 0) -> RunningClient:
        variables = {**VARIABLES, "SECONDS": seconds}
        client = RunningClient(ECHO, self._listen, name, self._folder / "c", variables=variables)
        return self._stack.enter_context(client)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((self.workspace / "run_1/status.json").read_bytes())
        Draft202012Validator(load_schema("run_status")).validate(status)
        return status

    def wait_for(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        deadline, pause = time.monotonic() + 30, threading.Event()
        while not ((self.workspace / "run_1/status.json").exists() and holds(self.status())):
            assert time.monotonic() < deadline, self.status()
            pause.wait(0.05)
        return self.status()

    def told(self, *options: str) -> str:
        command = [sys.executable, "-m", "mmar_runner", "status", str(self.workspace), *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def told_once_it_says(self, words: str) -> str:
        deadline, pause = time.monotonic() + 60, threading.Event()
        while words not in (told := self.told()):
            assert time.monotonic() < deadline, told
            pause.wait(0.5)
        return told


@pytest.fixture
def scene(tmp_path: Path, stack: ExitStack) -> Scene:
    return Scene(tmp_path, stack)


def test_who_is_waited_for_is_told_with_since_when(scene: Scene) -> None:
    server = scene.serve()
    scene.wait_for(lambda s: s["waiting_for"] == "round 0: 0 of 2 clients are there")
    one = scene.join("site-1")
    scene.wait_for(lambda s: s["waiting_for"] == "round 0: 1 of 2 clients are there")
    slow = scene.join("site-2", seconds=60)
    status = scene.wait_for(lambda s: "1 of 2 updates; missing site-2, tr" in s["waiting_for"])
    assert status["status"] == "running"
    assert status["pid"] == server.process.pid
    states = {client["name"]: client["state"] for client in status["clients"]}
    assert states == {"site-1": "done", "site-2": "training"}
    (missing,) = status["missing"]
    assert status["waiting_for"] == (
        f"round 0: 1 of 2 updates; missing site-2, training since {missing['since']}"
    )
    assert status["waiting_for"] in scene.told()
    slow.terminate()
    status = scene.wait_for(lambda s: "not there" in s["waiting_for"])
    assert status["waiting_for"].startswith("round 0: 1 of 2 updates; missing site-2, not there")
    scene.join("site-2")
    assert server.wait() == 0
    assert one.wait() == 0
    status = scene.status()
    assert (status["status"], status["waiting_for"], status["round"]) == ("finished", "", 1)
    first, *more = scene.told().splitlines()
    assert first == "no server is running; run 1 has finished"
    run = scene.workspace / "run_1"
    assert more[0].startswith(f"  results in {run}: 2 rounds in ")
    assert more[1].startswith("  last round: constant 1.5, val_first_value ")
    assert f"  final model: {run}/models/final.safetensors" in more
    assert f"  best model, the result of round 0: {run}/models/best.safetensors" in more


def test_a_server_that_was_killed_is_not_taken_for_one_that_runs(scene: Scene) -> None:
    server = scene.serve()
    scene.join("site-1")
    slow = scene.join("site-2", seconds=60)
    scene.wait_for(lambda s: "1 of 2 updates" in s["waiting_for"])
    told = json.loads(scene.told("--json"))
    Draft202012Validator(load_schema("status_report")).validate(told)
    assert told["server"]["pid"] == server.process.pid
    assert not told["resumable"]
    os.kill(server.process.pid, signal.SIGSTOP)
    assert "is its disk full, or is it stopped?" in scene.told_once_it_says("written nothing for")
    assert json.loads(scene.told("--json"))["silent_seconds"] > 6
    server.kill()
    assert scene.told() == (
        "no server is running; run 1 is at round 0 and can be resumed with the same command\n"
    )
    told = json.loads(scene.told("--json"))
    assert (told["server"], told["resumable"]) == (None, True)
    slow.kill()
    again = scene.serve()
    told = "site-2, not heard of since the server's start at "
    scene.wait_for(lambda s: s["pid"] == again.process.pid and told in s["waiting_for"])
    assert "site-2: expected: not heard of since" in scene.told()
    scene.join("site-2")
    again.wait_for(Topic.ROUND_STARTED)
    assert again.wait() == 0, again.stderr


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmar_runner", "status"]
    for words in ((str(tmp_path),), ()):
        done = subprocess.run(
            [*command, *words], check=False, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 2
        assert "--workspace" in done.stderr
