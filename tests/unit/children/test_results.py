# SPDX-License-Identifier: Apache-2.0
"""What a trainer may answer."""

from __future__ import annotations

import numpy as np
import pytest

from mmar_runner.children.results import checked_result
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainResult


def test_numbers_of_other_libraries_become_floats():
    result = TrainResult(
        num_samples=np.int64(3),
        metrics={"loss": np.float32(0.5)},
        validation={"val_auc": 1},
        kind=UpdateKind.WEIGHT_DIFF,
    )
    assert checked_result(result) == {
        "num_samples": 3.0,
        "metrics": {"loss": 0.5},
        "validation": {"val_auc": 1.0},
        "kind": "weight_diff",
    }


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (TrainResult(num_samples=0), "num_samples is 0; it must be positive"),
        (TrainResult(num_samples=float("nan")), "num_samples is nan, which is not finite"),
        (TrainResult(num_samples=float("inf")), "num_samples is inf"),
        (TrainResult(num_samples="many"), "num_samples is 'many', which is not a number"),
        (TrainResult(1, metrics={"loss": float("nan")}), "metric 'loss' is nan"),
        (TrainResult(1, validation={"auc": None}), "validation metric 'auc' is None"),
        ({"num_samples": 1}, "train returned a dict, not a TrainResult"),
    ],
)
def test_anything_else_is_named_and_refused(result, words):
    with pytest.raises(TaskFailedError, match=words):
        checked_result(result)
