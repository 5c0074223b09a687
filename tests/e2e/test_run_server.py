# SPDX-License-Identifier: Apache-2.0
"""run-server as its users start it: stopped, killed, resumed, and asked for too much."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.records.record import Kind
from mmar_runner.storage.journal import Journal
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
ROUNDS = 4
VARIABLES = {"NUM_ROUNDS": ROUNDS, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.5, "SECONDS": 0.1}
DURABILITY = ("--durability", "process")


def model_hashes(summary: dict[str, Any]) -> list[str]:
    return [entry["model_sha256"] for entry in summary["rounds"]]


def events(workspace: Path, kind: str) -> list[dict[str, Any]]:
    lines = (workspace / "run_1" / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def undisturbed(tmp_path: Path) -> list[str]:
    """Run without any fault and return the models' digests."""
    with RunningServer(ECHO, tmp_path / "calm", *DURABILITY, variables=VARIABLES) as server:
        address = server.address()
        with client(address, "site-1", tmp_path / "c"), client(address, "site-2", tmp_path / "c"):
            assert server.wait() == 0
    return model_hashes(server.summary())


def client(
    address: str, name: str, workspace: Path, variables: dict[str, Any] = VARIABLES
) -> RunningClient:
    return RunningClient(ECHO, address, name, workspace, variables=variables)


@pytest.mark.parametrize(
    ("end", "code"), [(RunningServer.terminate, 3), (RunningServer.kill, -9)], ids=["TERM", "KILL"]
)
def test_a_server_that_is_ended_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, end: Callable[[RunningServer], None], code: int
) -> None:
    expected = undisturbed(tmp_path)
    workspace, port = tmp_path / "ws", f"127.0.0.1:{free_port()}"
    with RunningServer(ECHO, workspace, *DURABILITY, variables=VARIABLES, listen=port) as server:
        address = server.address()
        one = client(address, "site-1", tmp_path / "d")
        two = client(address, "site-2", tmp_path / "d")
        with one, two:
            server.wait_for(Topic.UPDATE_ACCEPTED, round=2)
            end(server)
            assert server.wait() == code
            again = RunningServer(ECHO, workspace, *DURABILITY, variables=VARIABLES, listen=port)
            with again:
                assert again.wait() == 0, again.stderr
            assert (one.wait(), two.wait()) == (0, 0)
    summary = again.summary()
    assert summary["status"] == "finished"
    assert [entry["round"] for entry in summary["rounds"]] == list(range(ROUNDS))
    assert model_hashes(summary) == expected
    accepted = [
        (e["data"]["round"], e["data"]["client"]) for e in events(workspace, "update_accepted")
    ]
    assert len(accepted) == len(set(accepted)) == 2 * ROUNDS
    (resumed,) = events(workspace, "run_resumed")
    closed = events(workspace, "round_closed")
    assert closed[1]["data"]["wall_seconds"] < resumed["data"]["wall_seconds"]
    assert resumed["data"]["wall_seconds"] < closed[-1]["data"]["wall_seconds"]


@pytest.mark.parametrize("megabytes", [0.5, 0.01], ids=["spool", "journal"])
def test_a_run_that_has_failed_goes_on_with_the_round_in_which_it_failed(
    tmp_path: Path, megabytes: float
) -> None:
    """It could not: in round 80 of 100 that was a day's work."""
    calm = {**VARIABLES, "MODEL_MB": megabytes}
    faulty = {**calm, "FAIL_IN_ROUND": 2}
    with RunningServer(ECHO, tmp_path / "calm", *DURABILITY, variables=calm) as server:
        address = server.address()
        one = client(address, "site-1", tmp_path / "c", calm)
        two = client(address, "site-2", tmp_path / "c", calm)
        with one, two:
            assert server.wait() == 0
    expected = model_hashes(server.summary())

    workspace = tmp_path / "ws"
    retry = (*DURABILITY, "--retry-failed")
    for options, variables, code in (
        (DURABILITY, faulty, 1),  # fails
        (retry, faulty, 1),  # the cause is not mended: fails in the same round, and is one run
        (retry, calm, 0),
    ):
        with RunningServer(ECHO, workspace, *options, variables=calm) as server:
            address = server.address()
            one = client(address, "site-1", tmp_path / "d", calm)
            two = client(address, "site-2", tmp_path / "d", variables)
            with one, two:
                assert server.wait() == code, server.stderr
                assert (one.wait(), two.wait()) == (code, code)
        if code:
            assert "goes on with the round in which it failed" in server.stderr
            assert server.summary()["status"] == "failed"
    assert [path.name for path in workspace.glob("run_*")] == ["run_1"]
    assert model_hashes(server.summary()) == expected
    assert [one["data"]["round"] for one in events(workspace, "run_retried")] == [2, 2]
    accepted = [
        (e["data"]["round"], e["data"]["client"]) for e in events(workspace, "update_accepted")
    ]
    assert len(accepted) == len(set(accepted)) == 2 * ROUNDS


def test_clients_that_never_heard_of_the_failure_go_on_with_the_run(tmp_path: Path) -> None:
    port = f"127.0.0.1:{free_port()}"
    variables = {**VARIABLES, "NUM_ROUNDS": 2}
    slow = {**variables, "SECONDS": 3}
    workspace = tmp_path / "ws"
    failing = RunningServer(ECHO, workspace, *DURABILITY, variables=variables, listen=port)
    with (
        failing,
        client(port, "site-1", tmp_path / "c", variables) as one,
        client(port, "site-2", tmp_path / "c", slow) as two,
    ):
        one.wait_for(Topic.SUBMITTED, round=1)
        failing.kill()
        fail(workspace / "run_1" / "journal.db")
        options = (*DURABILITY, "--retry-failed")
        retrying = RunningServer(ECHO, workspace, *options, variables=variables, listen=port)
        with retrying:
            assert (retrying.wait(), one.wait(), two.wait()) == (0, 0, 0), retrying.stderr
    # Another history: they registered anew, and what was accepted before counts.
    for site in (one, two):
        assert len(site.observations(Topic.REGISTERED, run_number=1)) == 2
        assert len(site.observations(Topic.SUBMITTED)) == 2


def fail(journal: Path) -> None:
    """Write what a server that is killed the moment after its run has failed leaves."""
    rejected = {"client": "site-2", "round": 1, "reason": "TASK_FAILED", "message": "no memory"}
    ended = {"status": "failed", "reason": "round 1 has 1 of 2 updates", "wall_seconds": 1.0}
    with Journal(journal) as opened:
        for _ in range(2):
            opened.append(Kind.TASK_FAILED, rejected)
        opened.append(Kind.RUN_ENDED, ended).result(10)


def test_a_failed_run_is_retried_only_if_that_is_asked_for(tmp_path: Path) -> None:
    variables = {**VARIABLES, "MIN_NUM_CLIENTS": 1, "FAIL_IN_ROUND": 0, "NUM_ROUNDS": 1}
    workspace = tmp_path / "ws"
    server = RunningServer(ECHO, workspace, *DURABILITY, variables=variables)
    with server, client(server.address(), "a", tmp_path / "c", variables):
        assert server.wait() == 1
    with RunningServer(ECHO, workspace, *DURABILITY, variables=variables) as server:
        assert server.wait_for(Topic.LISTENING, run_number=2)["before"] == "failed"
        server.terminate()
        assert server.wait() == 3
    both = RunningServer(ECHO, workspace, "--retry-failed", "--new-run", variables=variables)
    with both:
        assert both.wait() == 2
    assert "--new-run begins a run, and --retry-failed goes on with the last one" in both.stderr


def test_with_json_a_run_that_did_not_finish_is_one_document_too(tmp_path: Path) -> None:
    with RunningServer(ECHO, tmp_path / "ws", "--json", variables=VARIABLES) as server:
        server.address()
        server.terminate()
        assert server.wait() == 3
    summary = json.loads(server.stdout)  # it refuses a second one
    assert summary["status"] == "stopped"
    assert "asked to stop" in summary["reason"]
    assert "the same command resumes it" in server.stderr


def test_an_unfinished_run_of_another_mmar_is_not_touched(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    with RunningServer(ECHO, workspace, variables=VARIABLES) as server:
        server.address()
        server.terminate()
        assert server.wait() == 3
        assert "SECONDS is used only by clients" in server.stderr
    other = {**VARIABLES, "MODEL_MB": 0.25}
    with RunningServer(ECHO, workspace, variables=other) as server:
        assert server.wait() == 2
        assert "--new-run" in server.stderr
    with RunningServer(ECHO, workspace, "--new-run", variables=other) as server:
        server.wait_for(Topic.LISTENING, run_number=2)


def test_a_finished_run_is_followed_by_the_next(tmp_path: Path) -> None:
    alone = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.01}
    for number in (1, 2):
        with (
            RunningServer(ECHO, tmp_path / "ws", variables=alone) as server,
            RunningClient(ECHO, server.address(), "site-1", tmp_path / "c"),
        ):
            server.wait_for(Topic.LISTENING, before="finished" if number > 1 else "")
            assert server.wait() == 0, server.stderr
        assert server.summary(number)["status"] == "finished"


def test_one_workspace_and_one_port_belong_to_one_server(tmp_path: Path) -> None:
    with RunningServer(ECHO, tmp_path / "ws", variables=VARIABLES) as server:
        address = server.address()
        with RunningServer(ECHO, tmp_path / "ws", variables=VARIABLES) as second:
            assert second.wait() == 1
            assert "another server works in" in second.stderr
        with RunningServer(ECHO, tmp_path / "ws2", variables=VARIABLES, listen=address) as third:
            assert third.wait() == 1
            assert f"cannot listen on {address}" in third.stderr
        assert "Traceback" not in second.stderr + third.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--listen", "0.0.0.0:0"), "only loopback"),
        (("--listen", "nonsense"), "HOST:PORT"),
        (("--keep-models", "none"), "--keep-models"),
        (("--kit", "kit"), "exclude each other"),
        (("--set", "NOEQUALS"), "KEY=VALUE"),
        (("--set", "MAX_NUM_CLIENTS=10000000"), "max_num_clients"),
        (("--workspace", "/proc/nowhere"), "cannot be written"),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(
    tmp_path: Path, options: tuple[str, str], complaint: str
) -> None:
    with RunningServer(ECHO, tmp_path / "ws", *options, variables=VARIABLES) as server:
        assert server.wait() in {1, 2}
    assert complaint in server.stderr
    assert "Traceback" not in server.stderr
    assert not (tmp_path / "ws" / "run_1" / "journal.db").exists()


def test_what_a_run_leaves_is_what_the_summary_says(tmp_path: Path) -> None:
    variables = {**VARIABLES, "SECONDS": 0}
    with RunningServer(
        ECHO, tmp_path / "ws", "--keep-models", "all", variables=variables
    ) as server:
        address = server.address()
        assert json.loads((tmp_path / "ws" / "endpoint.json").read_text())["admin"] is None
        with client(address, "site-1", tmp_path / "c"), client(address, "site-2", tmp_path / "c"):
            assert server.wait() == 0
    assert not (tmp_path / "ws" / "endpoint.json").exists()
    run, summary = tmp_path / "ws" / "run_1", server.summary()
    names = sorted(path.name for path in (run / "models").glob("round_*"))
    assert names == [f"round_{number:04d}.safetensors" for number in range(ROUNDS + 1)]
    final = run / summary["final_model"]
    assert final.read_bytes() == (run / "models" / names[-1]).read_bytes()
    assert list((run / "updates").rglob("*.safetensors")) == []
    assert summary["peak_rss_bytes"] > 1 << 20
    for entry in summary["rounds"]:
        assert [c["client"] for c in entry["contributions"]] == ["site-1", "site-2"]
        assert entry["rejected"] == []


def test_a_start_that_is_refused_for_its_port_binds_nobody(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with RunningServer(ECHO, workspace, variables=VARIABLES, listen=address) as refused:
            assert refused.wait() == 1
        assert "ADDRESS_IN_USE" in refused.stderr
    assert not (workspace / "run_1").exists()
    others = {**VARIABLES, "NUM_ROUNDS": ROUNDS + 1}
    with RunningServer(ECHO, workspace, variables=others, listen=address) as server:
        assert server.address() == address
        server.terminate()
        assert server.wait() == 3
    assert "hint: the same command resumes it" in server.stderr


def test_what_resumes_a_run_that_was_asked_for_anew_is_another_command(tmp_path: Path) -> None:
    with RunningServer(ECHO, tmp_path / "ws", "--new-run", variables=VARIABLES) as server:
        server.address()
        server.terminate()
        assert server.wait() == 3
    assert "the same command without --new-run resumes it" in server.stderr
