# SPDX-License-Identifier: Apache-2.0
"""What stands still is told from what is slow: trainers that hang, sessions that are frozen."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer

NAMES = ("site-1", "site-2")


@contextmanager
def federation(
    mmar: Path, folder: Path, *options: str, minimum: int = 2
) -> Iterator[tuple[RunningServer, dict[str, RunningClient]]]:
    """Run a server and its two clients until the block ends."""
    values = {"MIN_NUM_CLIENTS": minimum}
    quick = ("--durability", "process")
    with RunningServer(mmar, folder / "ws", *quick, variables=values) as server:
        address = server.address()
        site = (folder / "clients", *options)
        with (
            RunningClient(mmar, address, NAMES[0], *site, variables=values) as first,
            RunningClient(mmar, address, NAMES[1], *site, variables=values) as second,
        ):
            yield server, dict(zip(NAMES, (first, second), strict=True))


def accepted(server: RunningServer) -> Counter[tuple[int, str]]:
    lines = (server.workspace / "run_1" / "events.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["kind"] == "update_accepted"]
    return Counter((event["data"]["round"], event["data"]["client"]) for event in events)


def trained(client: RunningClient) -> Counter[int]:
    return Counter(data["round"] for data in client.observations(Topic.TRAINING))


def test_a_trainer_that_hangs_fails_its_task_and_is_replaced(tmp_path: Path) -> None:
    """It had told of its steps: that these stop coming is seen long before any limit on a task."""
    hangs_once = {"fail_in_round": 1, "behaviour": "hang", "fail_times": 1}
    builder = MmarBuilder().server(num_rounds=3).trainer("EchoTrainer", seconds=0.3, **hangs_once)
    mmar = builder.write(tmp_path)
    with federation(mmar, tmp_path, "--stall-timeout", "2") as (server, clients):
        assert server.wait() == 0, server.stderr
        failed = clients["site-1"].observations(Topic.TASK_FAILED)
    assert [(one["round"], one["reason"]) for one in failed] == [(1, "TASK_STALLED")]
    rounds = server.summary()["rounds"]
    refused = {(one["client"], one["reason"].partition(":")[0]) for one in rounds[1]["rejected"]}
    assert refused == {(name, "TASK_STALLED") for name in NAMES}
    assert accepted(server) == {(number, name): 1 for number in range(3) for name in NAMES}


@pytest.mark.parametrize("minimum", [1, 2], ids=["others-go-on", "others-wait"])
def test_a_session_that_is_frozen_loses_its_lease_and_comes_back_by_itself(
    tmp_path: Path, minimum: int
) -> None:
    """It is the same client as before, and does no work twice."""
    builder = MmarBuilder().trainer("EchoTrainer", seconds=0.4)
    builder.server(heart_beat_timeout=2, wait_after_min_clients=0.5, num_rounds=12)
    mmar = builder.write(tmp_path)
    with federation(mmar, tmp_path, minimum=minimum) as (server, clients):
        frozen = clients["site-2"]
        number = frozen.wait_for(Topic.TRAINING, round=1)["round"]
        frozen.process.send_signal(signal.SIGSTOP)
        left = server.wait_for(Topic.CLIENT_LEFT, client="site-2")
        assert "nothing was heard of it" in left["reason"]
        if minimum == 1:
            server.wait_for(Topic.ROUND_FINISHED, round=number + 2)
        frozen.process.send_signal(signal.SIGCONT)
        assert server.wait() == 0, server.stderr
        assert [client.wait() for client in clients.values()] == [0, 0]
        counted, work = accepted(server), trained(frozen)
        joined = server.observations(Topic.CLIENT_JOINED, client="site-2")
    assert len(joined) == 2
    assert set(counted.values()) == {1}
    assert set(work.values()) == {1}
    if minimum == 2:
        assert len(counted) == 24
    assert max(work) == 11  # to the end
    assert "session.replaced" not in audited(server)


def audited(server: RunningServer) -> set[Any]:
    lines = (server.workspace / "audit.jsonl").read_text().splitlines()
    return {json.loads(line).get("action") for line in lines}
