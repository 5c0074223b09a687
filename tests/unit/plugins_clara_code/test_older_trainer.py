# SPDX-License-Identifier: Apache-2.0
"""Older trainers: what they find in their context, and what is made of their answers."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner_clara_code.api.signal import Signal
from mmar_runner_clara_code.trainer import ClaraCodeTrainer
from tests.unit.plugins_clara_code.older import SAMPLE, sample, written

HEAD = """
import random
import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_constant import FLConstants, ShareableKey, ShareableValue
from nvflare.apis.shareable import Shareable
from nvflare.apis.trainer import Trainer
from nvflare.utils.fed_utils import generate_failure

class Own(Trainer):
    def train(self, shareable, fl_ctx, abort_signal):
"""


def trained(code, tmp_path, *, rank=0):
    """Train one round; return the result and the update."""
    tmp_path.mkdir(exist_ok=True)
    model = tmp_path / "model.safetensors"
    with TensorWriter(model, [("w", "F32", (2,)), ("n", "I64", ())]) as writer:
        writer.write("w", np.array([1.0, 2.0], np.float32))
        writer.write("n", np.array(7))
        writer.commit()
    made = ClaraCodeTrainer(code)
    told = TrainerContext("site-1", SAMPLE, tmp_path, {}, {}, {}, lambda *_: None, rank, 1 + rank)
    with closing(made):
        made.setup(told)
        update = tmp_path / "update.safetensors"
        answer = made.train(TrainTask(1, 3, 9, 99, model, update, tmp_path, tmp_path))
        measured = made.validate(model)
    if not update.exists():
        return answer, None, measured
    with TensorReader(update) as reader:
        return answer, {name: reader.read(name) for name in reader.header.tensors}, measured


def test_weights_and_what_is_said_of_them(tmp_path):
    body = """
        weights = {n: v + 1 for n, v in shareable[ShareableKey.MODEL_WEIGHTS].items()}
        answer = Shareable()
        answer[ShareableKey.TYPE] = ShareableValue.TYPE_WEIGHTS
        answer[ShareableKey.MODEL_WEIGHTS] = weights
        answer[ShareableKey.META] = {
            FLConstants.NUM_STEPS_CURRENT_ROUND: 12, FLConstants.INITIAL_METRICS: 0.5
        }
        return answer

    def validate(self, shareable, fl_ctx, abort_signal):
        return DXO(DataKind.METRICS, {"dice": np.float32(0.25), "note": "text"}).to_shareable()
"""
    result, update, measured = trained(written(tmp_path, "client_trainer", HEAD + body), tmp_path)
    assert (result.num_samples, result.kind) == (12.0, UpdateKind.WEIGHTS)
    assert result.validation == {"validation_metric": 0.5}
    assert update["w"].tolist() == [2.0, 3.0]
    assert (update["n"], update["n"].dtype) == (8, np.int64)
    assert measured == {"dice": 0.25}


def test_differences_of_some_tensors_and_no_number_of_steps(tmp_path):
    body = """
        assert shareable[ShareableKey.MODEL_WEIGHTS]["w"].dtype == np.float32
        assert fl_ctx.get_prop(FLConstants.CURRENT_ROUND) == 3
        return DXO(DataKind.WEIGHT_DIFF, data={"w": [0.5, 0.25]}).to_shareable()
"""
    result, update, measured = trained(written(tmp_path, "client_trainer", HEAD + body), tmp_path)
    assert (result.num_samples, result.kind) == (1.0, UpdateKind.WEIGHT_DIFF)
    assert (update["w"].tolist(), update["n"]) == ([0.5, 0.25], 0)
    assert measured == {}


def test_the_same_seed_draws_the_same(tmp_path):
    body = """
        drawn = [random.random(), np.random.rand()]
        return DXO(DataKind.WEIGHT_DIFF, {"w": drawn}).to_shareable()
"""
    code = written(tmp_path, "client_trainer", HEAD + body)
    one, other = (trained(code, tmp_path / name)[1] for name in "ab")
    assert one["w"].tolist() == other["w"].tolist()


def test_of_several_processes_one_writes(tmp_path):
    body = """
        assert fl_ctx.get_prop(FLConstants.MY_RANK) == 1
        return DXO(DataKind.WEIGHT_DIFF, {}).to_shareable()
"""
    _, update, _ = trained(written(tmp_path, "client_trainer", HEAD + body), tmp_path, rank=1)
    assert update is None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('generate_failure(fl_ctx, "no data")', r"failed \(EXECUTION_EXCEPTION\): no data"),
        ("None", "answered with a NoneType"),
        ("Shareable(model_weights={'v': 1})", "the tensor 'v', which the model has not"),
        ("Shareable(model_weights={'w': 1})", r"'w' in the shape \[\] in place of \[2\]"),
    ],
)
def test_what_is_no_update_is_said(tmp_path, answer, says):
    code = written(tmp_path, "client_trainer", f"{HEAD}        return {answer}\n")
    with pytest.raises(TaskFailedError, match=f"own.Own .*{says}"):
        trained(code, tmp_path)


def test_the_sample_stops_when_it_is_told(monkeypatch, tmp_path):
    """Nobody tells a child so, which is ended; the code of that time asks all the same."""
    signal = Signal()
    signal.trigger()
    monkeypatch.setattr("mmar_runner_clara_code.trainer.Signal", lambda: signal)
    with pytest.raises(TaskFailedError, match=r"mean_trainer\.MeanTrainer .*: aborted"):
        trained(sample("client_trainer", "mean_trainer.MeanTrainer"), tmp_path)


def test_why_nothing_is_known_of_its_network_is_said():
    assert "by itself" in ClaraCodeTrainer.unknown_network(object())
