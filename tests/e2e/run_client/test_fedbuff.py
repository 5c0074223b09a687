# SPDX-License-Identifier: Apache-2.0
"""Real processes that do not wait for each other, and a server that is killed among them."""

from __future__ import annotations

import json

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder, component
from mmar_runner.testing.processes import free_port

ROUNDS = 6
FAST = ("site-1", "site-2")


def test_a_killed_server_goes_on_with_what_older_models_gave(start, tmp_path):
    mmar = (
        MmarBuilder()
        .server(num_rounds=ROUNDS)
        .top_level(workflow=component("FedBuff", max_staleness=ROUNDS))
        .trainer("EchoTrainer", seconds="{SECONDS}")
        .variables(SECONDS=0, MIN_NUM_CLIENTS=2)
        .write(tmp_path)
    )
    listen = f"127.0.0.1:{free_port()}"
    server = start.server(mmar, listen=listen)
    slow = start.client(mmar, listen, "site-3", variables={"SECONDS": 1})
    slow.wait_for(Topic.REGISTERED)
    fast = [start.client(mmar, listen, name, variables={"SECONDS": 0.2}) for name in FAST]
    server.wait_for(Topic.ROUND_FINISHED, round=1)
    server.kill()
    server = start.server(mmar, listen=listen)

    assert [each.wait() for each in (*fast, slow, server)] == [0, 0, 0, 0]
    rounds = [entry["contributions"] for entry in server.summary()["rounds"]]
    assert [len(contributions) for contributions in rounds] == [2] * ROUNDS
    assert max(c.get("staleness", 0) for round_ in rounds for c in round_) > 0
    events = (tmp_path / "server" / "run_1" / "events.jsonl").read_text().splitlines()
    accepted = [
        event["data"] for event in map(json.loads, events) if event["kind"] == "update_accepted"
    ]
    bases = [(one["client"], one.get("base_round", one["round"])) for one in accepted]
    assert len(set(bases)) == len(bases) == 2 * ROUNDS, "each counts once, whatever was sent again"
