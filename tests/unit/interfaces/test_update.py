# SPDX-License-Identifier: Apache-2.0
"""What is said of an update is read back as it was kept, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.update import UpdateFacts
from tests.updates import facts

SAID = facts(3, kind=UpdateKind.WEIGHT_DIFF, metrics={"loss": 0.5}, validation={"auc": 1.0})


def test_what_was_kept_is_read_back() -> None:
    again = UpdateFacts.from_json(json.loads(json.dumps(SAID.to_json())))
    assert again == SAID
    assert again.kind is UpdateKind.WEIGHT_DIFF


def test_of_two_metrics_of_one_name_that_of_the_validation_is_reported() -> None:
    said = facts(metrics={"loss": 0.5, "lr": 0.1}, validation={"loss": 0.25})
    assert said.reported == {"loss": 0.25, "lr": 0.1}


@pytest.mark.parametrize("missing", sorted(SAID.to_json()))
def test_what_lacks_something_is_not_read(missing: str) -> None:
    kept = SAID.to_json()
    del kept[missing]
    with pytest.raises(KeyError):
        UpdateFacts.from_json(kept)


@pytest.mark.parametrize(
    "changed",
    [
        {"round": -1},
        {"round": True},
        {"round": 1 << 63},
        {"bytes": 1.0},
        {"num_samples": "3"},
        {"num_samples": None},
        {"num_samples": float("nan")},
        {"seconds_train": float("inf")},
        {"seconds_train": 10**400},
        {"kind": "gradients"},
        {"kind": ["weights"]},
        {"metrics": []},
        {"metrics": {"loss": True}},
        {"validation": {"auc": float("-inf")}},
        {"validation": {7: 1.0}},
    ],
    ids=str,
)
def test_what_has_another_type_is_not_read(changed: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        UpdateFacts.from_json({**SAID.to_json(), **changed})
