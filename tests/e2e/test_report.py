# SPDX-License-Identifier: Apache-2.0
"""``mmar-runner report`` as people call it, on a run that a server left or still has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningServer

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}


def report(*words):
    command = [sys.executable, "-m", "mmar_runner", "report", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.timeout(120)
def test_a_page_while_the_run_waits_and_once_it_is_finished(tmp_path, stack):
    workspace = tmp_path / "ws"
    server = RunningServer(ECHO, workspace, variables=VARIABLES)
    address = stack.enter_context(server).address()
    one = stack.enter_context(RunningClient(ECHO, address, "site-1", tmp_path / "c1"))
    one.wait_for(Topic.REGISTERED)
    done = report(workspace, "--out", tmp_path / "now.html", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "running"
    page = (tmp_path / "now.html").read_text()
    assert "No round is finished. It is not finished" in page
    with RunningClient(ECHO, address, "site-2", tmp_path / "c2"):
        assert server.wait() == 0
    done = report(workspace / "run_1")
    assert done.returncode == 0, done.stderr
    page = (workspace / "run_1" / "report.html").read_text()
    assert "2 sites trained one model together in 2 rounds. The run finished" in page
    refused = report(tmp_path / "c1")
    assert refused.returncode == 1
    assert "error [NOT_A_RUN]" in refused.stderr
    assert "hint: name the server's folder" in refused.stderr
