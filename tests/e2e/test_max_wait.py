# SPDX-License-Identifier: Apache-2.0
"""``max_wait``: a run that waits without getting anywhere is stopped, and can be resumed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port


def test_a_wait_for_clients_is_stopped_named_and_resumed(tmp_path: Path, stack: ExitStack) -> None:
    mmar = MmarBuilder().top_level(max_wait=8).write(tmp_path)
    listen = f"127.0.0.1:{free_port()}"

    def serve() -> RunningServer:
        return stack.enter_context(RunningServer(mmar, tmp_path / "ws", listen=listen))

    def join(name: str) -> RunningClient:
        return stack.enter_context(RunningClient(mmar, listen, name, tmp_path / "c"))

    server = serve()
    server.address()
    one = join("site-1")
    assert server.wait() == 3, server.stderr
    summary = server.summary()
    assert summary["status"] == "stopped"
    prefix, _, since = summary["reason"].partition(", since ")
    assert prefix == (
        "no progress for 8 s (max_wait) while waiting for round 0: 1 of 2 clients are there"
    )
    assert since.endswith("Z")
    assert "the same command resumes it" in server.stderr
    assert one.process.poll() is None, "it waits for the server to come back"
    two, again = join("site-2"), serve()
    assert again.wait() == 0, again.stderr
    assert (one.wait(), two.wait()) == (0, 0)


def test_a_wait_for_an_update_names_whose_it_is(tmp_path: Path, stack: ExitStack) -> None:
    mmar = MmarBuilder().top_level(max_wait=9).trainer("EchoTrainer", seconds="{SECONDS}")
    folder = mmar.variables(SECONDS=0).write(tmp_path)
    server = stack.enter_context(RunningServer(folder, tmp_path / "ws"))
    address = server.address()
    for name, seconds in (("site-1", 0), ("site-2", 600)):
        variables = {"SECONDS": seconds}
        client = RunningClient(folder, address, name, tmp_path / "c", variables=variables)
        stack.enter_context(client)
    assert server.wait() == 3, server.stderr
    assert "1 of 2 updates; missing site-2, training since " in server.summary()["reason"]


def test_a_run_that_gets_on_is_not_stopped_however_long_it_takes(
    tmp_path: Path, stack: ExitStack
) -> None:
    mmar = (
        MmarBuilder()
        .top_level(max_wait=8)
        .server(min_num_clients=1, num_rounds=10)
        .trainer("EchoTrainer", seconds=1)
        .write(tmp_path)
    )
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws"))
    client = RunningClient(mmar, server.address(), "site-1", tmp_path / "c")
    stack.enter_context(client)
    server.wait_for(Topic.ROUND_STARTED)
    assert server.wait() == 0, server.stdout
    assert server.summary()["wall_seconds"] > 8
