# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD at the server and at its clients, through a whole federation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mmar_runner.testing.federation import Federation
from mmar_runner_torch.files import read_state
from mmar_runner_torch.scaffold import CONTROL_FILE
from mmar_runner_torch.trainer import TorchTrainer

pytestmark = pytest.mark.timeout(180)  # Two trainers import torch; a busy machine takes its time.

SAMPLE = Path(__file__).parents[2] / "mmars" / "breast_cancer"
ALGORITHM = {"algorithm": "scaffold", "send": "weight_diff"}
PREFIX = "control_variate/"


@pytest.fixture
def mmar(tmp_path):
    """The sample with SCAFFOLD at the server and at the clients."""
    mmar = tmp_path / "breast_cancer"
    shutil.copytree(SAMPLE, mmar)
    file = mmar / "config" / "config_fed_server.json"
    declared = json.loads(file.read_text())
    declared["aggregator"] = {"name": "Scaffold"}
    declared["result_processors"] = []
    file.write_text(json.dumps(declared))
    file = mmar / "config" / "config_fed_client.json"
    declared = json.loads(file.read_text())
    declared["client_trainer"]["args"] |= ALGORITHM
    file.write_text(json.dumps(declared))
    return mmar


def acknowledged(pointer):
    """Return a client's control variate as the last acknowledged round left it."""
    slot = json.loads(pointer.read_text())["slot"]
    return read_state(pointer.parent / f"slot_{slot}" / CONTROL_FILE)


def test_the_servers_variate_is_the_mean_of_the_clients(mmar, tmp_path):
    """The paper's invariant, over the wire, the journal and the state folders."""
    with Federation(
        mmar,
        workspace=tmp_path / "work",
        variables={"NUM_ROUNDS": 3, "LOCAL_EPOCHS": 1},
        trainers=lambda _: TorchTrainer(**ALGORITHM, device="cpu"),
    ) as federation:
        outcome = federation.run()

    assert outcome.status == "finished"
    final = read_state(outcome.run_folder / "models" / "final.safetensors")
    kept = [acknowledged(path) for path in (tmp_path / "work").rglob("current.json")]
    assert len(kept) == 2
    variates = {name: tensor for name, tensor in final.items() if name.startswith(PREFIX)}
    assert {PREFIX + name for name in kept[0]} == set(variates)
    for name, tensor in variates.items():
        of_clients = sum(one[name.removeprefix(PREFIX)] for one in kept) / len(kept)
        assert torch.allclose(tensor, of_clients, atol=1e-6)
        assert float(tensor.abs().max()) > 0
    exported = torch.load(outcome.run_folder / "models" / "final_model.pt", weights_only=True)
    assert set(exported) == set(kept[0])
