# SPDX-License-Identifier: Apache-2.0
"""Older filters: of updates on their way out, and of models on their way in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.filter import FilterContext
from mmar_runner_clara_code.filter import ClaraCodeFilter
from tests.unit.plugins_clara_code.older import sample, written

OUT = FilterContext("site-1", 2, UpdateKind.WEIGHT_DIFF, 1, num_samples=8.0)
IN = replace(OUT, kind=UpdateKind.WEIGHTS, num_samples=0.0)
UPDATE = {"a": np.array([1.0, -2.0]), "b": np.array(3.0), "n": np.array([4], np.int64)}
HEAD = """
from nvflare.apis.dxo import from_shareable
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FLConstants, ShareableKey, ShareableValue
from nvflare.apis.shareable import Shareable

class Own(Filter):
    def process(self, shareable, fl_ctx):
"""


def passed(made, context=OUT, tensors=UPDATE):
    made.begin(context)
    for name, tensor in tensors.items():
        made.measure(name, tensor)
    assert not made.measures_again()
    return {name: made.apply(name, tensor) for name, tensor in tensors.items()}


def own(tmp_path, body):
    return ClaraCodeFilter(written(tmp_path, "filter", HEAD + body))


@pytest.mark.parametrize("dropped", ["a|n", ["a", "n"]], ids=["expression", "list"])
def test_what_is_dropped_keeps_the_received_models_values(dropped):
    before = {name: tensor.copy() for name, tensor in UPDATE.items()}
    out = passed(ClaraCodeFilter(sample("filter", "leave_out.LeaveOut", exclude_vars=dropped)))
    assert out["a"].tolist() == [0.0, 0.0]
    assert (out["n"].tolist(), out["n"].dtype) == ([0], np.int64)
    assert out["b"] == 3.0
    assert all((UPDATE[name] == before[name]).all() for name in UPDATE)


def test_a_filter_of_dxo_changes_in_place_or_anew(tmp_path):
    anew = """
        dxo = from_shareable(shareable)
        dxo.data = {name: value * 2 for name, value in dxo.data.items()}
"""
    in_place = "        data = from_shareable(shareable).data\n        data['a'] *= 2\n"
    for body, b in ((anew, 6.0), (in_place, 3.0)):
        out = passed(own(tmp_path / str(b), f"{body}        return shareable\n"))
        assert out["a"].tolist() == [2.0, -4.0]
        assert out["b"] == b


def test_it_is_told_round_client_and_iterations(tmp_path):
    body = """
        assert fl_ctx.get_prop(FLConstants.CURRENT_ROUND) == 2
        assert fl_ctx.get_identity_name() == "site-1"
        assert shareable[ShareableKey.META][FLConstants.NUM_STEPS_CURRENT_ROUND] == 8
        assert shareable[ShareableKey.TYPE] == ShareableValue.TYPE_WEIGHT_DIFF
        return shareable
"""
    assert passed(own(tmp_path, body))["b"] == 3.0


def test_on_the_way_in_it_sees_weights_and_what_it_drops_stays(tmp_path):
    body = """
        assert shareable[ShareableKey.TYPE] == ShareableValue.TYPE_WEIGHTS
        del shareable[ShareableKey.MODEL_WEIGHTS]["a"]
        return shareable
"""
    made = own(tmp_path, body)
    made.begin(IN)
    assert not made.on_differences
    assert passed(made, IN)["a"].tolist() == [1.0, -2.0]
    made.begin(OUT)
    assert made.on_differences


def test_weights_are_not_made_of_differences(tmp_path):
    body = "        return Shareable(type=ShareableValue.TYPE_WEIGHTS, model_weights={})\n"
    with pytest.raises(TaskFailedError, match=r"own\.Own made weights of weight_diff"):
        passed(own(tmp_path, body))
