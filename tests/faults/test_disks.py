# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or not to be written on. The full ones need root for a mount."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mmar_runner.client.health import HealthQuestion, ask_health
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port
from mmar_runner.wire.methods import FEDERATED_TRAINING

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
VARIABLES = {"NUM_ROUNDS": 3, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 2}
NAMES = ("site-1", "site-2")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Fill a disk but for some bytes, and return what fills it."""
    filler = disk / "filler"
    if leave:
        room = shutil.disk_usage(disk).free - leave
        filler.write_bytes(bytes(room))
        return filler
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(64 << 10))
            except OSError:
                return filler


def waits_for_space(server: RunningServer) -> str:
    """Wait until the server says that its disk is full, and return what it says."""

    def said() -> list[str]:
        waits = [str(wait["message"]) for wait in server.observations(Topic.WAITING)]
        return [message for message in waits if message.startswith("DISK_FULL: ")]

    until(said, server)
    return said()[0]


def health(address: str) -> tuple[str, ...]:
    """Return what a server says of itself, and of whether clients can work."""
    asked = (HealthQuestion(address, service) for service in ("", FEDERATED_TRAINING))
    return tuple(asyncio.run(ask_health(question)) for question in asked)


def until(holds: Callable[[], object], server: RunningServer) -> None:
    deadline, pause = time.monotonic() + 40, threading.Event()
    while not holds():
        assert server.process.poll() is None, server.stdout + server.stderr
        assert time.monotonic() < deadline, server.stdout + server.stderr
        pause.wait(0.02)


def counted(workspace: Path) -> list[tuple[int, str]]:
    lines = (workspace / "run_1" / "events.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["kind"] == "update_accepted"]
    return sorted((event["data"]["round"], event["data"]["client"]) for event in events)


def hashes(server: RunningServer) -> list[str]:
    return [entry["model_sha256"] for entry in server.summary()["rounds"]]


def undisturbed(folder: Path, variables: dict[str, float]) -> list[str]:
    """Return the models of a run on a disk that is large enough."""
    with RunningServer(ECHO, folder / "calm", variables=variables) as server, ExitStack() as stack:
        for name in NAMES:
            client = RunningClient(
                ECHO, server.address(), name, folder / "calm-c", variables=variables
            )
            stack.enter_context(client)
        assert server.wait() == 0, server.stderr
    return hashes(server)


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_full_disk_of_the_server_is_waited_out_without_a_restart(
    tmp_path: Path, tiny: Path, size: str
) -> None:
    """Small updates travel in the journal, large ones in files; both are on the full disk."""
    variables = {**VARIABLES, "SECONDS": 1, "MODEL_MB": 0.02 if size == "small" else 2}
    with RunningServer(ECHO, tiny, variables=variables) as server:
        address = server.address()
        one, two = (
            RunningClient(ECHO, address, name, tmp_path / "c", variables=variables)
            for name in NAMES
        )
        with one, two:
            one.wait_for(Topic.TRAINING, round=1)
            assert health(address) == ("SERVING", "SERVING")
            filler = fill(tiny)
            assert "; free space on that disk" in waits_for_space(server)
            assert health(address) == ("SERVING", "NOT_SERVING")
            submitted = len(one.observations(Topic.SUBMITTED))
            assert submitted == 1, "nothing is acknowledged that cannot be kept"
            filler.unlink()
            assert server.wait() == 0, server.stdout + server.stderr
            assert (one.wait(), two.wait()) == (0, 0)
    assert "Traceback" not in server.stderr
    assert server.summary()["status"] == "finished"
    assert counted(tiny) == sorted((number, name) for number in range(3) for name in NAMES)
    assert hashes(server) == undisturbed(tmp_path, variables)


def test_a_full_disk_at_the_checkpoint_leaves_the_old_one_and_is_waited_out(
    tmp_path: Path, tiny: Path
) -> None:
    """Both updates are there: only the aggregate, a file of 2 MB, finds no room."""
    variables = {**VARIABLES}
    models = tiny / "run_1" / "models"
    with RunningServer(ECHO, tiny, variables=variables) as server:
        address = server.address()
        one = RunningClient(ECHO, address, "site-1", tmp_path / "c", variables=variables)
        with one:
            one.wait_for(Topic.REGISTERED)
            # 24 MB: one model and two updates of 2 MB each, and no room for a fourth file.
            filler = fill(tiny, leave=5 << 20)
            two = RunningClient(ECHO, address, "site-2", tmp_path / "c", variables=variables)
            with two:
                assert "round_0001" in waits_for_space(server)
                assert one.observations(Topic.SUBMITTED, round=0)
                assert two.observations(Topic.SUBMITTED, round=0)
                assert {path.name for path in models.glob("round_*")} == {"round_0000.safetensors"}
                filler.unlink()
                assert server.wait() == 0, server.stdout + server.stderr
    assert not [path.name for path in models.iterdir() if path.name.startswith(".")]
    assert hashes(server) == undisturbed(tmp_path, variables)


def test_a_server_whose_disk_is_full_is_stopped_in_time_and_goes_on_later(
    tmp_path: Path, tiny: Path
) -> None:
    variables = {**VARIABLES, "SECONDS": 1}
    listen = f"127.0.0.1:{free_port()}"

    def serve() -> RunningServer:
        return RunningServer(ECHO, tiny, variables=variables, listen=listen)

    with serve() as server:
        address = server.address()
        one, two = (
            RunningClient(ECHO, address, name, tmp_path / "c", variables=variables)
            for name in NAMES
        )
        with one, two:
            one.wait_for(Topic.TRAINING, round=1)
            filler = fill(tiny)
            waits_for_space(server)
            began = time.monotonic()
            server.terminate()
            assert server.wait() == 3, server.stderr
            assert time.monotonic() - began < 10
            filler.unlink()
            with serve() as again:
                assert again.wait() == 0, again.stdout + again.stderr
            assert (one.wait(), two.wait()) == (0, 0)
    assert "Traceback" not in server.stderr + server.stdout
    assert counted(tiny) == sorted((number, name) for number in range(3) for name in NAMES)


def test_a_full_disk_is_waited_for_no_longer_than_the_mmar_allows(
    tmp_path: Path, tiny: Path
) -> None:
    mmar = (
        MmarBuilder()
        .server(min_num_clients=1, num_rounds=3)
        .top_level(max_wait=6)
        .model_persistor("EchoModelPersistor", size_mb=2)
        .trainer("EchoTrainer", seconds=1)
        .write(tmp_path)
    )
    with RunningServer(mmar, tiny) as server:
        client = RunningClient(mmar, server.address(), "site-1", tmp_path / "c")
        with client:
            client.wait_for(Topic.TRAINING, round=1)
            filler = fill(tiny)
            assert server.wait() == 3, server.stdout
            assert "(max_wait) while waiting for DISK_FULL: " in server.stderr
            filler.unlink()
    with RunningServer(mmar, tiny) as again:
        client = RunningClient(mmar, again.address(), "site-1", tmp_path / "c")
        with client:
            assert again.wait() == 0, again.stderr


def test_a_disk_that_is_full_at_the_start_is_named(tmp_path: Path, tiny: Path) -> None:
    fill(tiny)
    with RunningServer(ECHO, tiny, variables=VARIABLES) as server:
        assert server.wait() != 0
    assert "No space left" in server.stderr
    assert "Traceback" not in server.stderr


def test_a_full_disk_of_a_client_leaves_the_others_alone(tmp_path: Path, tiny: Path) -> None:
    variables = {**VARIABLES, "MIN_NUM_CLIENTS": 1}
    fill(tiny)
    with RunningServer(ECHO, tmp_path / "ws", variables=variables) as server:
        address = server.address()
        poor = RunningClient(ECHO, address, "site-2", tmp_path / "poor", variables=variables)
        poor.kill()
        link = tiny / "clients"
        poor = RunningClient(
            ECHO,
            address,
            "site-2",
            tmp_path / "poor",
            "--workspace",
            str(link),
            variables=variables,
        )
        rich = RunningClient(ECHO, address, "site-1", tmp_path / "c", variables=variables)
        with poor, rich:
            assert server.wait() == 0, server.stderr
            assert rich.wait() == 0
            poor.wait()
        assert "Traceback" not in poor.stderr
        assert "traceback" not in poor.stderr


def test_a_client_whose_disk_is_full_says_so_and_goes_on_when_there_is_space(
    tmp_path: Path, tiny: Path
) -> None:
    """The round waits for it: it is needed."""
    variables = {**VARIABLES, "SECONDS": 0.5, "MODEL_MB": 4}
    with RunningServer(ECHO, tmp_path / "ws", variables=variables) as server:
        address = server.address()
        poor = RunningClient(ECHO, address, "site-2", tiny, variables=variables)
        rich = RunningClient(ECHO, address, "site-1", tmp_path / "c", variables=variables)
        with poor, rich:
            poor.wait_for(Topic.TRAINING, round=0)
            # Its models and its update have their files; a state and what a child says have none.
            for slot in ("model_1.safetensors", "update.safetensors"):
                (tiny / "site-2" / "run_1" / slot).unlink(missing_ok=True)
            filler = fill(tiny, leave=1 << 20)
            failed = poor.wait_for(Topic.TASK_FAILED)
            assert failed["reason"] == "DISK_FULL"
            poor.wait_for(Topic.WAITING)
            filler.unlink()
            assert server.wait() == 0, server.stdout + server.stderr
            assert (poor.wait(), rich.wait()) == (0, 0)
    assert "Traceback" not in poor.stderr
    assert counted(tmp_path / "ws") == sorted((n, name) for n in range(3) for name in NAMES)


def test_a_workspace_that_is_read_only_is_named(tiny: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    arguments = ["run-server", str(ECHO), "--workspace", str(tiny / "ws"), "--insecure"]
    done = subprocess.run(
        [sys.executable, "-m", "mmar_runner", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode in {1, 2}
    assert "Read-only" in done.stderr
    assert "Traceback" not in done.stderr
