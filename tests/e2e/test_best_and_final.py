# SPDX-License-Identifier: Apache-2.0
"""Where models come from and what is left of them: preloaded, best, final, exported."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mmar_runner.interfaces.client_trainer import TrainResult
from mmar_runner.interfaces.observer import Topic
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner.testing.processes import RunningServer
from mmar_runner_echo.trainer import EchoTrainer
from mmar_runner_torch.models import MLP
from mmar_runner_torch.trainer import TorchTrainer

MMARS = Path(__file__).parents[2] / "mmars"


def tensors(path):
    with TensorReader(path) as reader:
        return {name: reader.read(name) for name in reader.header.tensors}


def safetensors(path):
    """Write a small model and return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TensorWriter(path, [("w", "F32", (3,)), ("n", "I64", ())], {}, durable=False) as writer:
        writer.write("w", np.array([1.5, -2, 0], dtype=np.float32))
        writer.write("n", np.array(7, dtype=np.int64).reshape(-1))
        writer.commit()
    return path.read_bytes()


def test_a_run_starts_at_its_round_from_a_safetensors_checkpoint(tmp_path):
    content = safetensors(tmp_path / "start.safetensors")
    mmar = (
        MmarBuilder()
        .server(start_round=3, num_rounds=5)
        .top_level(ckpt_preload_path="models/start.safetensors", model_persistor={})
        .file("models/start.safetensors", content)
        .write(tmp_path)
    )
    trainers = {"site-1": EchoTrainer(0.5), "site-2": EchoTrainer(0.5)}
    with Federation(mmar, workspace=tmp_path / "work", trainers=trainers) as federation:
        outcome = federation.run()

    assert outcome.status == "finished"
    assert [entry["round"] for entry in outcome.summary["rounds"]] == [3, 4]
    received = federation.sessions["site-1"].all(Topic.MODEL_RECEIVED)
    assert [seen.data["round"] for seen in received] == [3, 4]
    models = outcome.run_folder / "models"
    assert tensors(models / "final.safetensors")["w"].tolist() == [2.5, -1.0, 1.0]
    assert tensors(models / "final.safetensors")["n"] == 7
    names = sorted(path.name for path in models.iterdir())
    assert names == [
        "best.safetensors",
        "final.safetensors",
        "round_0004.safetensors",
        "round_0005.safetensors",
    ]


@pytest.fixture(scope="module")
def from_torch(tmp_path_factory):
    """A run of one round from a checkpoint of PyTorch; its weights and its outcome."""
    tmp_path = tmp_path_factory.mktemp("torch")
    weights = MLP(3, 2, hidden=[4]).state_dict()
    torch.save({"epoch": 9, "state_dict": weights}, tmp_path / "start.pt")
    network = {"name": "MLP", "args": {"in_features": 3, "out_features": 2, "hidden": [4]}}
    mmar = (
        MmarBuilder()
        .server(num_rounds=1)
        .model_persistor("PTFileModelPersistor", model=network)
        .top_level(ckpt_preload_path="models/start.pt")
        .file("models/start.pt", (tmp_path / "start.pt").read_bytes())
        .write(tmp_path)
    )
    trainers = {"site-1": EchoTrainer(1.0), "site-2": EchoTrainer(2.0, num_samples=3)}
    with Federation(mmar, workspace=tmp_path / "work", trainers=trainers) as federation:
        return weights, federation.run()


def test_a_run_starts_from_a_checkpoint_of_pytorch(from_torch):
    weights, outcome = from_torch
    first = tensors(outcome.run_folder / "models" / "round_0000.safetensors")

    assert {name: value.tolist() for name, value in first.items()} == {
        name: value.tolist() for name, value in weights.items()
    }


def test_the_final_model_is_exported_as_pytorch_reads_it(from_torch):
    weights, outcome = from_torch
    models = outcome.run_folder / "models"
    exported = torch.load(models / "final_model.pt", weights_only=True)
    final = tensors(models / "final.safetensors")

    assert exported.keys() == weights.keys() == final.keys()
    for name, tensor in exported.items():
        assert np.array_equal(tensor.numpy(), final[name])
        assert torch.allclose(tensor, weights[name] + 1.75)  # the mean of 1 and 2 by samples
    MLP(3, 2, hidden=[4]).load_state_dict(exported)


@pytest.mark.parametrize(
    ("path", "said"),
    [("models/none.pt", "MMAR621"), ("/nowhere/none.safetensors", "is not a file")],
    ids=["in the folder", "elsewhere"],
)
def test_a_checkpoint_that_is_not_there_is_said_before_the_start(tmp_path, path, said):
    mmar = MmarBuilder().top_level(ckpt_preload_path=path).write(tmp_path)

    with RunningServer(mmar, tmp_path / "ws") as server:
        assert server.wait() == 1

    assert said in server.stderr
    assert path in server.stderr
    assert "Traceback" not in server.stderr
    assert not (tmp_path / "ws" / "run_1").exists()


class Judged(EchoTrainer):
    """Reports validation metrics from a table, by round."""

    def __init__(self, num_samples, scores, **more):
        super().__init__(1.0, num_samples)
        self._scores, self._more = scores, more

    def train(self, task):
        result = super().train(task)
        table = {"val_score": self._scores, **self._more}
        validation = {name: values[task.round] for name, values in table.items()}
        return TrainResult(result.num_samples, metrics={"loss": 1.0}, validation=validation)


@pytest.mark.parametrize(
    ("selector", "best"),
    [({}, 0), ({"metric": "val_loss", "higher_is_better": False}, 1)],
    ids=["first metric that is no loss", "declared loss"],
)
def test_the_best_model_is_the_one_that_clients_received(tmp_path, selector, best):
    # Averaged by samples val_score of rounds 1 to 3 is .45, .40, .425: the result of round 0.
    # Without the samples it would be that of round 1, and 9 speaks of the initial model.
    trainers = {
        "site-1": Judged(1, [9, 0.0, 1.0, 0.2], val_loss=[0, 3, 1, 2]),
        "site-2": Judged(3, [9, 0.6, 0.2, 0.5], val_loss=[0, 3, 1, 2]),
    }
    builder = MmarBuilder().server(num_rounds=4)
    if selector:
        builder.handler("BestModelSelector", **selector)
    mmar = builder.write(tmp_path)
    with Federation(mmar, workspace=tmp_path / "work", trainers=trainers) as federation:
        outcome = federation.run()

    summary = outcome.summary
    assert summary["best_round"] == best
    kept = outcome.run_folder / summary["best_model"]
    assert sha256_file(kept) == summary["rounds"][best]["model_sha256"]
    assert summary["best_model"] == "models/best.safetensors"
    assert summary["rounds"][1]["metrics"]["val_score"] == pytest.approx(0.45)


def test_clients_validate_every_so_many_rounds_and_in_the_last(tmp_path):
    """Rounds without a score are no result's; the best is chosen among those that have one."""
    mmar = (
        MmarBuilder()
        .server(num_rounds=6)
        .top_level(
            validate_every=2,
            handlers=[{"name": "BestModelSelector", "args": {"metric": "val_first_value"}}],
        )
        .write(tmp_path)
    )
    trainers = {"site-1": EchoTrainer(-0.5), "site-2": EchoTrainer(-0.5)}
    with Federation(mmar, workspace=tmp_path / "work", trainers=trainers) as federation:
        outcome = federation.run()

    assert outcome.status == "finished"
    rounds = outcome.summary["rounds"]
    measured = [one["round"] for one in rounds if "val_first_value" in one["metrics"]]
    assert measured == [0, 2, 4, 5]
    # Round 2 measures the result of round 1, which is the largest that anybody measured.
    assert outcome.summary["best_round"] == 1


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Four rounds of the sample, where the server validates every second round's result."""
    tmp_path = tmp_path_factory.mktemp("measured")
    mmar = tmp_path / "breast_cancer"
    shutil.copytree(MMARS / "breast_cancer", mmar)
    file = mmar / "config" / "config_fed_server.json"
    declared = json.loads(file.read_text())
    declared.update(model_validator={"name": "TorchModelValidator"}, validate_every=2)
    declared["result_processors"][0]["args"] = {"tensorboard": False}
    file.write_text(json.dumps(declared))
    variables = {"NUM_ROUNDS": 4, "LOCAL_EPOCHS": 1}
    with Federation(
        mmar,
        workspace=tmp_path / "work",
        variables=variables,
        trainers=lambda _: TorchTrainer(local_epochs=1),
    ) as federation:
        return federation.run(), federation.server


def test_a_server_validates_and_chooses_by_its_own_metrics_alone(measured):
    outcome, observed = measured
    rounds = outcome.summary["rounds"]
    tries = [seen.data for seen in observed.all(Topic.BEST_MODEL)]
    scores = {number: rounds[number]["metrics"]["val_auc"] for number in (1, 3)}

    assert {one["round"] for one in tries} <= {1, 3}
    assert all(one["score"] == scores[one["round"]] for one in tries)
    best = 3 if scores[3] > scores[1] else 1
    assert outcome.summary["best_round"] == best
    kept = outcome.run_folder / "models" / "best.safetensors"
    assert sha256_file(kept) == rounds[best]["model_sha256"]
    assert 0.5 < scores[best] <= 1


def test_metrics_of_a_run_are_written_as_a_table(measured):
    outcome, _ = measured
    (file,) = outcome.run_folder.rglob("metrics.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))

    assert list(rows[0]) == ["run", "round", "client", "phase", "metric", "value"]
    auc = {
        (row["client"], int(row["round"])): float(row["value"])
        for row in rows
        if (row["phase"], row["metric"]) == ("validation", "val_auc")
    }
    assert auc.keys() == {(f"site-{k}", n) for k in (1, 2) for n in (0, 2, 3)}
    assert all(0 <= value <= 1 for value in auc.values())
    assert {row["phase"] for row in rows} == {"train", "validation"}
    trained = {row["metric"] for row in rows if row["phase"] == "train"}
    assert len(trained) > 1  # what the trainer measured, and not only its number of samples
