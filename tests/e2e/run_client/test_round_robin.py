# SPDX-License-Identifier: Apache-2.0
"""The model travels from site to site, and one works at a time, whatever happens to it."""

from __future__ import annotations

import json
import os
import signal

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder, component
from mmar_runner.testing.processes import free_port

ORDER = ["site-3", "site-1", "absent", "site-2"]


def job(tmp_path, rounds):
    return (
        MmarBuilder()
        .server(num_rounds=rounds, heart_beat_timeout=2)
        .top_level(workflow=component("RoundRobin", order=ORDER))
        .trainer("EchoTrainer", seconds="{SECONDS}")
        .variables(SECONDS=0, MIN_NUM_CLIENTS=3)
        .write(tmp_path)
    )


def turns(server):
    return [[c["client"] for c in entry["contributions"]] for entry in server.summary()["rounds"]]


def test_a_lost_clients_turn_goes_on_and_its_late_update_is_refused(start, tmp_path):
    mmar = job(tmp_path, rounds=4)
    server = start.server(mmar)
    others = [
        start.client(mmar, server, name, variables={"SECONDS": seconds})
        for name, seconds in (("site-2", 3), ("site-3", 0))
    ]
    lost = start.client(mmar, server, "site-1", variables={"SECONDS": 0.5})
    lost.wait_for(Topic.TRAINING, round=1)
    os.kill(lost.process.pid, signal.SIGSTOP)
    server.wait_for(Topic.TURN_PASSED, round=1, client="site-2", before="site-1")
    os.kill(lost.process.pid, signal.SIGCONT)

    refused = lost.wait_for(Topic.REFUSED, round=1)
    assert refused["reason"] == "NOT_A_PARTICIPANT"
    assert "the turn of site-1 in round 1 has gone to site-2" in refused["message"]
    assert [each.wait() for each in (*others, lost, server)] == [0, 0, 0, 0]
    assert turns(server) == [["site-3"], ["site-2"], ["site-3"], ["site-1"]]


def test_a_server_that_is_killed_goes_on_with_the_same_turn(start, tmp_path):
    mmar = job(tmp_path, rounds=3)
    listen = f"127.0.0.1:{free_port()}"
    server = start.server(mmar, listen=listen)
    clients = [
        start.client(mmar, listen, name, variables={"SECONDS": 1.5})
        for name in ("site-1", "site-2", "site-3")
    ]
    clients[0].wait_for(Topic.TRAINING, round=1)
    server.kill()
    server = start.server(mmar, listen=listen)

    assert [each.wait() for each in (*clients, server)] == [0, 0, 0, 0]
    assert turns(server) == [["site-3"], ["site-1"], ["site-2"]]
    events = (tmp_path / "server" / "run_1" / "events.jsonl").read_text().splitlines()
    assert "turn_passed" not in {json.loads(line)["kind"] for line in events}
