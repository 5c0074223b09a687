# SPDX-License-Identifier: Apache-2.0
"""Older aggregators: what they are given, and what is made of their answers."""

from __future__ import annotations

from contextlib import closing, contextmanager

import numpy as np
import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import Contribution, UpdateKind
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.interfaces.whole_aggregator import WholeRound, WholeUpdate
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner_clara_code.aggregator import ClaraCodeAggregator
from tests.unit.plugins_clara_code.older import sample, written

HEAD = """
from nvflare.apis.aggregator import Aggregator
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import *
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants

class Own(Aggregator):
"""
DXO_MEAN = (
    HEAD
    + """
    def __init__(self):
        super().__init__()
        self.kept, self.total = {}, 0

    def accept(self, shareable, fl_ctx) -> bool:
        dxo = from_shareable(shareable)
        if dxo.data_kind != DataKind.WEIGHT_DIFF or shareable.get_return_code() != ReturnCode.OK:
            return False
        if shareable.get_header(AppConstants.CONTRIBUTION_ROUND) != fl_ctx.get_prop(
            AppConstants.CURRENT_ROUND
        ):
            return False
        n = dxo.get_meta_prop(MetaKey.NUM_STEPS_CURRENT_ROUND)
        self.log_info(fl_ctx, shareable.get_peer_prop(ReservedKey.IDENTITY_NAME, "?"))
        for name, value in dxo.data.items():
            self.kept[name] = self.kept.get(name, 0) + value * n
        self.total += n
        return True

    def aggregate(self, fl_ctx):
        mean = {name: value / self.total for name, value in self.kept.items()}
        return DXO(data_kind=DataKind.WEIGHT_DIFF, data=mean).to_shareable()
"""
)
PLAIN_MEAN = (
    HEAD
    + """
    def __init__(self):
        self.peers = []

    def accept(self, shareable, fl_ctx):
        self.peers.append(fl_ctx.get_prop(FLConstants.PEER_CONTEXT))
        return True, len(self.peers) > 1

    def aggregate(self, fl_ctx):
        given = [peer.get_prop(FLConstants.SHAREABLE) for peer in self.peers]
        weights = [shareable[ShareableKey.MODEL_WEIGHTS] for shareable in given]
        shareable = Shareable()
        shareable[ShareableKey.TYPE] = ShareableValue.TYPE_WEIGHTS
        shareable[ShareableKey.MODEL_WEIGHTS] = {
            n: sum(w[n] for w in weights) / len(weights) for n in weights[0]
        }
        return shareable
"""
)


def told(tmp_path):
    return TrainerContext("server", tmp_path, tmp_path, {}, {}, {}, lambda *_: None)


def file_of(path, **tensors):
    listed = [(name, "F32", np.shape(value)) for name, value in tensors.items()]
    with TensorWriter(path, listed) as writer:
        for name, value in tensors.items():
            writer.write(name, np.asarray(value, np.float32))
        writer.commit()
    return path


@contextmanager
def ready(code, tmp_path, number=4):
    rule = ClaraCodeAggregator(code)
    with closing(rule):
        rule.setup(told(tmp_path))
        rule.begin(WholeRound(number, 9, 0))
        yield rule


def give(rule, tmp_path, updates):
    """Hand over updates: number of samples and tensors by client."""
    answers = []
    for client, (samples, tensors) in updates.items():
        file = file_of(tmp_path / "update.safetensors", **tensors)
        contribution = Contribution(client, samples, rule.wants)
        answers.append(rule.accept(WholeUpdate(contribution, file)))
        file.unlink()
    return answers


def result(rule, tmp_path):
    made = rule.aggregate(tmp_path / "result.safetensors")
    with TensorReader(tmp_path / "result.safetensors") as reader:
        return made, {name: reader.read(name) for name in reader.header.tensors}


TWO = {"site-1": (10.0, {"a": [1.0, 2.0], "b": 4.0}), "site-2": (30.0, {"a": [5.0, 6.0], "b": 8.0})}


@pytest.mark.parametrize("source", [None, DXO_MEAN], ids=["of its time", "dxo"])
def test_the_weighted_mean_of_differences(tmp_path, source):
    code = written(tmp_path, "aggregator", source) if source else None
    with ready(code or sample("aggregator", "weighted_sum.WeightedSum"), tmp_path) as rule:
        assert rule.wants is UpdateKind.WEIGHT_DIFF
        assert give(rule, tmp_path, TWO) == ["", ""]
        made, tensors = result(rule, tmp_path)
    assert (made.kind, made.left_out) == (UpdateKind.WEIGHT_DIFF, ())
    np.testing.assert_allclose(tensors["a"], [4.0, 5.0])
    assert tensors["a"].dtype == np.float64
    assert tensors["b"] == pytest.approx(7.0)


def test_one_that_names_only_weights_is_given_weights(tmp_path):
    with ready(written(tmp_path, "aggregator", PLAIN_MEAN), tmp_path) as rule:
        assert rule.wants is UpdateKind.WEIGHTS
        give(rule, tmp_path, TWO)
        made, tensors = result(rule, tmp_path)
    assert made.kind is UpdateKind.WEIGHTS
    np.testing.assert_allclose(tensors["a"], [3.0, 4.0])


def test_what_is_not_accepted_is_said_with_who_did_not(tmp_path):
    source = (
        HEAD + "    def accept(self, s, c): return False, False\n    def aggregate(self, c): ..."
    )
    with ready(written(tmp_path, "aggregator", source), tmp_path) as rule:
        assert give(rule, tmp_path, TWO) == ["own.Own did not accept it"] * 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("None", "answered with a NoneType, not with a Shareable"),
        ("Shareable()", "holds no tensors by name"),
        ("make_reply(ReturnCode.EMPTY_RESULT)", r"answered that it failed \(EMPTY_RESULT\)"),
        ("Shareable(type='metrics', model_weights={})", "neither weights nor differences"),
        ("Shareable(data_type='encrypted')", "encrypts the tensors"),
        ("Shareable(model_weights={'c': 1.0})", "the tensor 'c', which the model has not"),
        ("Shareable(model_weights={'b': [1.0]})", r"'b' in the shape \[1\] in place of \[\]"),
        ("Shareable(model_weights={'b': 'text'})", "'b', whose elements are <U4"),
    ],
)
def test_an_answer_that_is_none_is_told_with_the_class(tmp_path, answer, says):
    body = f"    def accept(self, s, c): return True\n    def aggregate(self, c): return {answer}\n"
    with ready(written(tmp_path, "aggregator", HEAD + body), tmp_path) as rule:
        give(rule, tmp_path, TWO)
        with pytest.raises(TaskFailedError, match=f"own.Own .*{says}"):
            rule.aggregate(tmp_path / "result.safetensors")


def test_accept_says_yes_or_no(tmp_path):
    body = "    def accept(self, s, c): pass\n    def aggregate(self, c): pass\n"
    code = written(tmp_path, "aggregator", HEAD + body)
    said = pytest.raises(TaskFailedError, match="answered accept with None")
    with ready(code, tmp_path) as rule, said:
        give(rule, tmp_path, TWO)


def test_what_it_does_not_answer_keeps_its_values(tmp_path):
    body = (
        "    def accept(self, s, c): return True\n"
        "    def aggregate(self, c): return Shareable(model_weights={'b': 1})\n"
    )
    with ready(written(tmp_path, "aggregator", HEAD + body), tmp_path) as rule:
        give(rule, tmp_path, TWO)
        made, tensors = result(rule, tmp_path)
    assert made.left_out == ("a",)
    assert list(tensors) == ["b"]


def test_it_hears_of_the_run_and_its_rounds(tmp_path):
    body = """
    heard = []
    def handle_event(self, event, fl_ctx):
        self.heard.append((event, fl_ctx.get_prop(FLConstants.CURRENT_ROUND)))
    def accept(self, s, c): return True
    def aggregate(self, c): return Shareable(model_weights={})
"""
    with ready(written(tmp_path, "aggregator", HEAD + body), tmp_path) as rule:
        heard = rule._older.made.heard
        give(rule, tmp_path, TWO)
        rule.aggregate(tmp_path / "result.safetensors")
    assert heard == [
        ("start_run", None),
        ("round_started", 4),
        ("before_aggregation", 4),
        ("end_aggregation", 4),
        ("round_done", 4),
        ("end_run", 4),
    ]


def test_a_class_without_the_methods_is_none(tmp_path):
    with pytest.raises(TypeError, match=r"own\.Own has no accept and no aggregate"):
        ClaraCodeAggregator(written(tmp_path, "aggregator", "class Own:\n    pass\n"))
