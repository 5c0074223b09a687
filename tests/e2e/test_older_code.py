# SPDX-License-Identifier: Apache-2.0
"""Code of Clara Train 4 in a federation: a server, clients, and their children, all real."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.errors import NotAuthorizedError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.federation import Federation
from mmar_runner_echo.trainer import EchoTrainer

SAMPLE = Path(__file__).resolve().parents[1] / "assets" / "mmars" / "clara_code"
AGGREGATOR = """
import os
from nvflare.apis.aggregator import Aggregator
from nvflare.apis.fl_constant import FLConstants, ShareableKey

class Own(Aggregator):
    def accept(self, shareable, fl_ctx):
        {accept}
        return True, False

    def aggregate(self, fl_ctx):
        {aggregate}
"""


def tensors(file):
    with TensorReader(file) as reader:
        return {name: reader.read(name) for name in reader.header.tensors}


def copied(folder, **changes):
    """Return a copy of the sample, with other values in its files."""
    shutil.copytree(SAMPLE, folder)
    for file, change in changes.items():
        path = folder / "config" / f"config_{file}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return folder


def with_aggregator(folder, *, accept="pass", aggregate="pass"):
    """Return the sample with another aggregator, a model at hand, and nothing else of its own."""
    start = {"aggregator": {"path": "own.Own"}, "ckpt_preload_path": "start.safetensors"}
    mmar = copied(folder, fed_server=start, fed_client={"client": {}})
    with TensorWriter(mmar / "start.safetensors", [("w", "F32", (2,))]) as writer:
        writer.write("w", np.zeros(2, np.float32))
        writer.commit()
    source = AGGREGATOR.format(accept=accept, aggregate=aggregate)
    (mmar / "custom" / "own.py").write_text(source)
    return mmar


def ran(mmar, workspace, **options):
    with Federation(mmar, workspace=workspace, allow_byoc=True, seed=5, **options) as federation:
        outcome = federation.run()
    return outcome, json.loads((outcome.run_folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def modules():
    """Return what this process had imported before server and sessions ran in it."""
    return set(sys.modules)


@pytest.fixture(scope="module")
def finished(modules, tmp_path_factory):
    """Return how the sample ended with two clients: outcome and summary."""
    return ran(SAMPLE, tmp_path_factory.mktemp("older"))


def test_the_sample_trains_as_it_was_written(finished):
    outcome, summary = finished
    assert (summary["status"], len(summary["rounds"])) == ("finished", 3)
    for entry in summary["rounds"]:
        samples = {c["client"]: c["num_samples"] for c in entry["contributions"]}
        assert samples == {"site-1": 6.0, "site-2": 8.0}  # iterations: two epochs of 3 and of 4
        assert entry["metrics"]["validation_metric"] < 0
    assert not list(outcome.run_folder.glob("aggregator*"))


def test_the_result_is_that_of_our_own_within_rounding(finished, tmp_path):
    own = {"name": "FedAvg", "args": {"aggregation_weights": {"site-1": 1.0, "site-2": 2.0}}}
    mmar = copied(tmp_path / "mmar", fed_server={"aggregator": own})
    outcome, _ = ran(mmar, tmp_path / "workspace")
    theirs = tensors(finished[0].run_folder / "models" / "final.safetensors")
    ours = tensors(outcome.run_folder / "models" / "final.safetensors")
    assert theirs.keys() == ours.keys()
    for name, tensor in ours.items():
        np.testing.assert_allclose(theirs[name], tensor, rtol=2e-6, atol=1e-7)


def test_what_the_filter_leaves_out_never_changes(finished):
    models = finished[0].run_folder / "models"
    last, before = tensors(models / "final.safetensors"), tensors(models / "round_0002.safetensors")
    changed = {name for name, tensor in last.items() if (tensor != before[name]).any()}
    assert last.keys() - changed == {name for name in last if "0002" in name} != set()


def test_the_names_are_nowhere_but_in_the_children(modules, finished):
    """Server and sessions of this module ran in this very process."""
    for root in ("nvflare", "medl"):
        assert importlib.util.find_spec(root) is None
        assert root not in sys.modules
    own = {file.stem for file in (SAMPLE / "custom").glob("*.py")}
    assert not {name for name in sys.modules.keys() - modules if name.rpartition(".")[2] in own}
    assert "mmar_runner_clara_code.aggregator" not in sys.modules.keys() - modules


def test_nothing_of_it_runs_unless_that_is_allowed(tmp_path):
    federation = Federation(SAMPLE, workspace=tmp_path)
    with federation, pytest.raises(NotAuthorizedError) as caught:
        federation.serve()
    assert caught.value.reason == "BYOC_NOT_ALLOWED"
    assert "weighted_sum.WeightedSum" in caught.value.message
    assert not (tmp_path / "run_1").exists()


@pytest.mark.parametrize(
    ("method", "does", "says"),
    [
        ("accept", "os._exit(3)", "ended by itself with exit code 3"),
        ("accept", "\n        while True: pass", "accept did not end within 1 seconds"),
        ("aggregate", "return {ShareableKey.MODEL_WEIGHTS: {'x': 1}}", "which the model has not"),
    ],
    ids=["exit", "never returns", "nonsense"],
)
def test_what_a_hostile_class_costs_is_the_run(tmp_path, method, does, says):
    """The server lives to say so, with the class and its place."""
    mmar = with_aggregator(tmp_path / "mmar", **{method: does})
    outcome, summary = ran(
        mmar, tmp_path / "workspace", trainers=lambda _: EchoTrainer(), task_timeout=1.0
    )
    assert summary["status"] == "failed"
    label = r"the aggregator own\.Own \(config/config_fed_server\.json:\d+\) failed: "
    assert re.search(f"{label}.*{says}", outcome.reason), outcome.reason


def test_a_server_is_stopped_while_a_class_hangs(tmp_path):
    """It waits for nobody, and the run can be taken up again."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    accept = f"open({str(begun)!r}, 'w').close()\n        while True: pass"
    mmar = with_aggregator(tmp_path / "mmar", accept=accept)
    workspace = tmp_path / "workspace"
    with Federation(
        mmar,
        workspace=workspace,
        clients=1,
        allow_byoc=True,
        trainers=lambda _: EchoTrainer(),
    ) as federation:
        federation.serve()
        federation.join("site-1")
        assert begun.read_text() == ""  # which comes once the other end is open
        assert federation.stop().status == "stopped"
    assert not (workspace / "run_1" / "aggregator").exists()


MEAN = """{
            ShareableKey.MODEL_WEIGHTS: {
                'w': sum(s[ShareableKey.MODEL_WEIGHTS]['w'] for s in self.kept) / len(self.kept)
            }
        }"""


def test_a_run_that_is_taken_up_again_ends_with_the_same_model(tmp_path):
    """A server that is stopped between two rounds builds the class anew; nothing counts twice."""
    accept = "self.kept = [*getattr(self, 'kept', []), shareable]"
    mmar = with_aggregator(
        tmp_path / "mmar",
        accept=accept,
        aggregate=f"kept, self.kept = {MEAN}, []\n        return kept",
    )
    digests = []
    for name, stops in (("straight", False), ("stopped", True)):
        with Federation(
            mmar,
            workspace=tmp_path / name,
            allow_byoc=True,
            seed=5,
            trainers=lambda client: EchoTrainer(constant=float(client[-1]), seconds=0.3),
        ) as federation:
            federation.serve()
            for client in federation.names:
                federation.join(client)
            if stops:
                federation.server.wait_for(Topic.ROUND_FINISHED, round=0)
                assert federation.stop().status == "stopped"
                federation.serve()
            outcome = federation.wait()
        summary = json.loads((outcome.run_folder / "summary.json").read_text())
        assert outcome.run_folder.name == "run_1"
        digests.append([entry["model_sha256"] for entry in summary["rounds"]])
    assert len(digests[0]) == 3
    assert digests[0] == digests[1]


def test_an_update_that_is_not_accepted_does_not_count(tmp_path):
    """The round goes on without it, and says why, if enough are left."""
    accept = "if fl_ctx.get_peer_context().get_identity_name() == 'site-2': return False, False"
    result = "return {ShareableKey.MODEL_WEIGHTS: {'w': [1.0, 2.0]}}"
    mmar = with_aggregator(tmp_path / "mmar", accept=accept, aggregate=result)
    outcome, summary = ran(
        mmar,
        tmp_path / "workspace",
        clients=["site-1", "site-2", "site-3"],
        variables={"MIN_NUM_CLIENTS": 2, "NUM_ROUNDS": 1},
        trainers=lambda _: EchoTrainer(),
    )
    (entry,) = summary["rounds"]
    assert [c["client"] for c in entry["contributions"]] == ["site-1", "site-3"]
    reason = "AGGREGATOR_REFUSED: own.Own did not accept it"
    assert entry["rejected"] == [{"client": "site-2", "reason": reason}]
    final = tensors(outcome.run_folder / "models" / "final.safetensors")
    assert final["w"].tolist() == [1.0, 2.0]


def test_a_trainer_that_never_returns_costs_its_task(tmp_path):
    mmar = copied(tmp_path / "mmar")
    trainer = mmar / "custom" / "mean_trainer.py"
    source = trainer.read_text()
    loop = "        while fl_ctx.get_prop(FLConstants.CLIENT_NAME) == 'site-2': pass\n"
    head, _, rest = source.partition("        values = values_of")
    trainer.write_text(f"{head}{loop}        values = values_of{rest}")
    variables = {"MIN_NUM_CLIENTS": 1, "NUM_ROUNDS": 1}
    _, summary = ran(mmar, tmp_path / "workspace", variables=variables, task_timeout=3.0)
    assert summary["status"] == "finished"
    assert [c["client"] for c in summary["rounds"][0]["contributions"]] == ["site-1"]
