# SPDX-License-Identifier: Apache-2.0
"""Metrics of a real server, scraped over HTTP and compared with what the run says of itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.processes import RunningClient, RunningProgram, RunningServer

SERVED = ("--metrics", "127.0.0.1:0")


def scrape(address: str, path: str = "/metrics") -> dict[tuple[str, ...], float]:
    """Return every sample, by its name and the values of its labels."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, *one.labels.values()): one.value for one in samples}


def endpoint(server: RunningServer) -> dict[str, object]:
    server.address()
    value: dict[str, object] = json.loads((server.workspace / "endpoint.json").read_bytes())
    assert not faults(load_schema("endpoint"), value)
    return value


def test_the_numbers_are_those_of_the_summary(tmp_path: Path) -> None:
    """One client's first update is of no use; the other hangs in the last round."""
    builder = MmarBuilder().variables(NUM_ROUNDS=3, MIN_NUM_CLIENTS=2, FAIL=0, HOW="nan")
    fails = {"fail_in_round": "{FAIL}", "behaviour": "{HOW}", "fail_times": 1}
    mmar = builder.trainer("EchoTrainer", **fails).write(tmp_path)
    with RunningServer(mmar, tmp_path / "ws", *SERVED) as server:
        where = str(endpoint(server)["metrics"])
        before = scrape(where)
        assert before["mmar_run_status", "running"] == 1
        assert before["mmar_rounds_finished_total",] == before["mmar_clients", "idle"] == 0
        assert before["mmar_tasks_failed_total", "other"] == 0  # there before it is counted
        clients = (mmar, server.address()), (tmp_path / "clients",)
        with RunningClient(*clients[0], "site-1", *clients[1]):
            server.wait_for(Topic.CLIENT_JOINED, client="site-1")
            joined = scrape(where)
            assert joined["mmar_clients", "idle"] == joined["mmar_clients_joined_total",] == 1
            hangs = {"FAIL": 2, "HOW": "hang"}
            with RunningClient(*clients[0], "site-2", *clients[1], variables=hangs):
                server.wait_for(Topic.UPDATE_ACCEPTED, client="site-1", round=2)
                server.wait_for(Topic.MODEL_SENT, client="site-2", round=2)
                seen = scrape(where)
                server.process.terminate()
                assert server.wait() == 3
    rounds = server.summary()["rounds"]
    given = [one for entry in rounds for one in entry["contributions"]]
    size = given[0]["bytes"]
    assert {one["bytes"] for one in given} == {size}
    assert seen["mmar_rounds_finished_total",] == seen["mmar_round_seconds_count",] == 2
    total = sum(entry["seconds"] for entry in rounds)
    assert seen["mmar_round_seconds_sum",] == pytest.approx(total)
    assert (seen["mmar_round",], seen["mmar_rounds_planned",]) == (2, 3)
    assert seen["mmar_updates_accepted_total",] == len(given) + 1 == 5
    assert seen["mmar_update_received_bytes_total",] == 5 * size
    # One of them again, after the NaN; and once more if the stream that was held has sent it
    # in the moment in which its client asks anew.
    assert seen["mmar_model_sent_bytes_total",] in {7 * size, 8 * size}
    assert len(rounds[0]["rejected"]) == seen["mmar_updates_refused_total", "NON_FINITE"] == 1
    assert (seen["mmar_clients", "done"], seen["mmar_clients", "training"]) == (1, 1)
    assert seen["mmar_peak_memory_bytes",] > 1 << 20
    with pytest.raises(OSError, match="refused"):
        scrape(where)


def test_a_server_that_stands_serves_them_before_there_is_a_run(tmp_path: Path) -> None:
    kits = make_kits(tmp_path / "project")
    arguments = ["run-server", "--kit", str(kits.server), "--workspace", str(tmp_path / "ws")]
    arguments += ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *SERVED]
    with RunningProgram(arguments, folder=tmp_path / "said", label="server") as server:
        server.wait_for(Topic.STANDING)
        value = json.loads((tmp_path / "ws" / "endpoint.json").read_bytes())
        assert not faults(load_schema("endpoint"), value)
        seen = scrape(value["metrics"])
        assert seen["mmar_run_status", "running"] == seen["mmar_run_number",] == 0


def test_whoever_serves_none_says_so_and_a_wrong_address_is_refused(tmp_path: Path) -> None:
    mmar = MmarBuilder().write(tmp_path)
    with RunningServer(mmar, tmp_path / "ws") as server:
        assert endpoint(server)["metrics"] is None
    with RunningServer(mmar, tmp_path / "ws2", "--metrics", "0.0.0.0:9100") as server:
        assert server.wait() == 2
        assert "--metrics is refused for '0.0.0.0'" in server.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with RunningServer(mmar, tmp_path / "ws3", "--metrics", f"127.0.0.1:{port}") as server:
            assert server.wait() == 1
            assert "error [IN_USE]: metrics cannot be served on" in server.stderr
    assert not (tmp_path / "ws3" / "run_1").exists()


def test_a_stranger_gets_nothing_and_a_slow_one_delays_no_round(tmp_path: Path) -> None:
    mmar = MmarBuilder().variables(NUM_ROUNDS=2, MIN_NUM_CLIENTS=1).write(tmp_path)
    with RunningServer(mmar, tmp_path / "ws", *SERVED) as server:
        where = str(endpoint(server)["metrics"])
        for path in ("/", "/metrics/x", "/../etc/passwd", "http://other/metrics"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                scrape(where, f"/{path.lstrip('/')}" if path != "/" else path)
        request = urllib.request.Request(f"http://{where}/metrics", data=b"x", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        host, port = where.split(":")
        with socket.create_connection((host, int(port))) as silent:
            silent.sendall(b"GET /met")
            with RunningClient(mmar, server.address(), "site-1", tmp_path / "clients") as client:
                assert (server.wait(), client.wait()) == (0, 0)


def test_a_thousand_scrapes_leave_nothing_behind(tmp_path: Path) -> None:
    mmar = MmarBuilder().write(tmp_path)
    with RunningServer(mmar, tmp_path / "ws", *SERVED) as server:
        where = str(endpoint(server)["metrics"])
        folder = Path(f"/proc/{server.process.pid}")

        def held() -> tuple[int, int, int]:
            pages = int((folder / "statm").read_text().split()[1])
            threads = len(list((folder / "task").iterdir()))
            files = len(list((folder / "fd").iterdir()))
            return files, threads, pages * os.sysconf("SC_PAGE_SIZE")

        for _ in range(100):
            scrape(where)
        files, threads, memory = held()
        for _ in range(1000):
            scrape(where)
        after = held()
        # The last scrape, and status.json, may have a file open at either look.
        assert after[0] <= files + 3
        assert after[1] == threads
        assert after[2] < memory + (1 << 20)


def test_without_the_library_the_mend_is_named(tmp_path: Path) -> None:
    mmar = MmarBuilder().write(tmp_path)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "prometheus_client.py").write_text("raise ImportError('not here')")
    environment = {**os.environ}
    environment["PYTHONPATH"] = f"{tmp_path / 'hidden'}:{environment.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "mmar_runner", "run-server", str(mmar), "--insecure", *SERVED],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--metrics needs prometheus_client" in done.stderr
    assert "pip install 'mmar-runner[metrics]'" in done.stderr
