# SPDX-License-Identifier: Apache-2.0
"""A server that is killed in the middle of a run goes on with what its aggregator kept."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.records.replay import replay
from mmar_runner.storage.journal import read_events
from mmar_runner.storage.tensor_files import sha256_file
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port
from tests.e2e.test_run_server import events, model_hashes

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 4
NAMES = ("site-1", "site-2")


@pytest.fixture(scope="module")
def mmar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return (
        MmarBuilder()
        .server(num_rounds=ROUNDS)
        .aggregator("FedAdam", server_learning_rate=0.1)
        .model_persistor("EchoModelPersistor", size_mb=0.3)
        .trainer("EchoTrainer", seconds=0.1)
        .write(tmp_path_factory.mktemp("mmar"))
    )


@pytest.fixture(scope="module")
def calm(mmar: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """The models of a run without faults, and what was kept after its last round."""
    folder = tmp_path_factory.mktemp("calm")
    with RunningServer(mmar, folder / "ws") as server, ExitStack() as stack:
        for name in NAMES:
            stack.enter_context(RunningClient(mmar, server.address(), name, folder / "c"))
        assert server.wait() == 0, server.stderr
    state = folder / "ws" / "run_1" / "models" / f"state_{ROUNDS:04d}.safetensors"
    return model_hashes(server.summary()), sha256_file(state)


@pytest.mark.parametrize("damaged", [False, True], ids=["killed", "and its state damaged"])
def test_a_killed_server_goes_on_with_its_momenta(
    tmp_path: Path, mmar: Path, calm: tuple[list[str], str], damaged: bool
) -> None:
    workspace, listen = tmp_path / "ws", f"127.0.0.1:{free_port()}"
    models = workspace / "run_1" / "models"
    with RunningServer(mmar, workspace, listen=listen) as server, ExitStack() as stack:
        address = server.address()
        clients = [
            stack.enter_context(RunningClient(mmar, address, name, tmp_path / "c"))
            for name in NAMES
        ]
        server.wait_for(Topic.UPDATE_ACCEPTED, round=2)
        server.kill()
        state = replay(read_events(workspace / "run_1" / "journal.db"))
        newest = models / f"state_{state.round:04d}.safetensors"
        assert sha256_file(newest) == state.state_sha256
        if damaged:
            content = bytearray(newest.read_bytes())
            content[-1] ^= 1
            newest.write_bytes(content)
        with RunningServer(mmar, workspace, listen=listen) as again:
            assert again.wait() == 0, again.stderr
        assert [one.wait() for one in clients] == [0, 0]
    expected, kept = calm
    assert model_hashes(again.summary()) == expected
    assert sha256_file(models / f"state_{ROUNDS:04d}.safetensors") == kept
    lost = [event["data"]["file"] for event in events(workspace, "checkpoint_lost")]
    assert lost == ([newest.name] if damaged else [])
    assert newest.with_suffix(".damaged").exists() == damaged
