# SPDX-License-Identifier: Apache-2.0
"""Every model on every site's data, between real processes, some of which die."""

from __future__ import annotations

import json
import os
import signal

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import free_port

SERVERS = ("FL_global_model", "best_FL_global_model")
CLIENT = {"cross_validate": True, "cross_site_validation": {"is_participating": "{TAKES_PART}"}}


class Echo(MmarBuilder):
    """Echo trainers whose client file says that they take part, and as slow as told."""

    def __init__(self, **limits):
        super().__init__()
        self._client.update(CLIENT)
        self.server(heart_beat_timeout=2)
        self.top_level(cross_site_validation=limits)
        self.result_processor("ValidateResultProcessor")
        self.trainer("EchoTrainer", constant="{CONSTANT}", validate_seconds="{SECONDS}")
        self.variables(CONSTANT=1, SECONDS=0, TAKES_PART=True)


@pytest.fixture
def matrix(tmp_path):
    folder = tmp_path / "server" / "run_1" / "cross_site_validation"
    return lambda: json.loads((folder / "results.json").read_bytes())


def test_every_model_is_validated_on_every_participants_data(start, tmp_path, matrix):
    mmar = Echo().write(tmp_path)
    server = start.server(mmar, variables={"MIN_NUM_CLIENTS": 3})
    clients = [
        start.client(mmar, server, f"site-{k}", variables={"CONSTANT": k, "TAKES_PART": part})
        for k, part in ((1, "true"), (2, "true"), (3, "false"))
    ]

    assert [each.wait() for each in (*clients, server)] == [0, 0, 0, 0]
    found = {
        data: {o: m["val_first_value"] for o, m in row.items()} for data, row in matrix().items()
    }
    assert set(found) == {"site-1", "site-2"}, "site-3 takes no part"
    assert found["site-1"] == found["site-2"]
    row = found["site-1"]
    assert set(row) == {*SERVERS, "site-1", "site-2"}
    assert row["site-2"] - row["site-1"] == pytest.approx(1), "each site's own model"
    told = server.summary()
    assert told["status"] == "finished"
    assert told["cross_site_validation"] == {
        "participants": ["site-1", "site-2"],
        "results": "cross_site_validation/results.json",
        "empty": [],
    }
    folder = tmp_path / "server" / "run_1" / "cross_site_validation"
    assert sorted(path.name for path in folder.iterdir()) == ["matrix.csv", "results.json"]
    assert len((folder / "matrix.csv").read_text().splitlines()) == 1 + 2 * 4
    ended = [line["topic"] for line in map(json.loads, server.stdout.splitlines())]
    assert ended.index("run_ended") > max(
        index for index, topic in enumerate(ended) if topic == "cross_site_result"
    )


def test_a_client_that_is_killed_goes_on_when_it_is_back(start, tmp_path, matrix):
    mmar = Echo().write(tmp_path)
    server = start.server(mmar, variables={"MIN_NUM_CLIENTS": 2})
    other = start.client(mmar, server, "site-1")
    killed = start.client(mmar, server, "site-2", variables={"SECONDS": 0.5})
    server.wait_for(Topic.CROSS_SITE_RESULT, client="site-2")
    killed.kill()
    back = start.client(mmar, server, "site-2")

    assert [each.wait() for each in (other, back, server)] == [0, 0, 0]
    assert {len(row) for row in matrix().values()} == {4}
    assert server.summary()["cross_site_validation"]["empty"] == []
    answered = server.observations(Topic.CROSS_SITE_RESULT, client="site-2")
    assert len(answered) == 4, "what was answered before is not asked again"


def test_a_server_that_is_killed_goes_on_where_it_was(start, tmp_path, matrix):
    mmar = Echo().write(tmp_path)
    listen = f"127.0.0.1:{free_port()}"
    server = start.server(mmar, listen=listen, variables={"MIN_NUM_CLIENTS": 2})
    clients = [start.client(mmar, listen, f"site-{k}", variables={"SECONDS": 0.4}) for k in (1, 2)]
    server.wait_for(Topic.CROSS_SITE_RESULT, client="site-2")
    before = len(server.observations(Topic.CROSS_SITE_RESULT))
    server.kill()
    server = start.server(mmar, listen=listen, variables={"MIN_NUM_CLIENTS": 2})

    assert [each.wait() for each in (*clients, server)] == [0, 0, 0]
    assert {len(row) for row in matrix().values()} == {4}
    after = len(server.observations(Topic.CROSS_SITE_RESULT))
    assert before + after in {8, 9}, "only what was not on record is asked for"
    assert server.summary()["cross_site_validation"]["empty"] == []
    assert server.summary()["status"] == "finished"


def test_whoever_does_not_answer_in_time_has_empty_cells_with_a_reason(start, tmp_path, matrix):
    mmar = Echo(deadline_seconds=2.5).write(tmp_path)
    server = start.server(mmar, variables={"MIN_NUM_CLIENTS": 2})
    good = start.client(mmar, server, "site-1")
    slow = start.client(mmar, server, "site-2", variables={"SECONDS": 60})

    assert [each.wait() for each in (good, server, slow)] == [0, 0, 0]
    assert len(matrix()["site-1"]) == 4
    assert not any(matrix()["site-2"].values())
    empty = server.summary()["cross_site_validation"]["empty"]
    assert [one["data_client"] for one in empty] == ["site-2"] * 4
    assert {one["reason"] for one in empty} == {"it did not answer within 2.5 s"}


def test_one_that_never_comes_back_is_not_waited_for(start, tmp_path, matrix):
    mmar = Echo(absent_seconds=1).write(tmp_path)
    server = start.server(mmar, variables={"MIN_NUM_CLIENTS": 2})
    good = start.client(mmar, server, "site-1")
    lost = start.client(mmar, server, "site-2", variables={"SECONDS": 60})
    server.wait_for(Topic.CROSS_SITE_MODEL, client="site-2")
    os.kill(lost.process.pid, signal.SIGKILL)

    assert [each.wait() for each in (good, server)] == [0, 0]
    assert len(matrix()["site-1"]) == 4, "its model is there all the same"
    empty = server.summary()["cross_site_validation"]["empty"]
    assert {one["reason"] for one in empty} == {"it left and was not back after 1 s"}
