# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or not to be written on. The full ones need root for a mount."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmar_runner.testing.processes import RunningClient, RunningServer, free_port

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


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(64 << 10))
            except OSError:
                return filler


def test_a_full_disk_of_the_server_stops_nothing_for_good(tmp_path: Path, tiny: Path) -> None:
    variables = {**VARIABLES, "SECONDS": 1}
    listen = f"127.0.0.1:{free_port()}"
    workspace = tiny  # what the server says goes beside it, to another disk

    def serve() -> RunningServer:
        return RunningServer(ECHO, workspace, variables=variables, listen=listen)

    with serve() as server:
        address = server.address()
        one, two = (
            RunningClient(ECHO, address, name, tmp_path / "c", variables=variables)
            for name in NAMES
        )
        with one, two:
            deadline = time.monotonic() + 20
            while "round 0" not in one.stdout and time.monotonic() < deadline:
                time.sleep(0.05)
            filler = fill(tiny)
            time.sleep(3)
            filler.unlink()
            if server.process.poll() is not None:
                print("the server ended:", server.process.poll(), server.stderr)  # noqa: T201
                assert "Traceback" not in server.stderr
                assert "traceback" not in server.stderr
                server = serve()  # noqa: PLW2901
            with server:
                assert server.wait() == 0, server.stdout + server.stderr
            assert (one.wait(), two.wait()) == (0, 0)
    assert server.summary()["status"] == "finished"
    lines = (workspace / "run_1" / "events.jsonl").read_text().splitlines()
    counted = [
        (event["data"]["round"], event["data"]["client"])
        for event in map(json.loads, lines)
        if event["kind"] == "update_accepted"
    ]
    assert sorted(counted) == sorted((number, name) for number in range(3) for name in NAMES)


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
