# SPDX-License-Identifier: Apache-2.0
"""What is said of an update is the same on both ends of the wire."""

from __future__ import annotations

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.wire.messages import UpdateBegin
from mmar_runner.wire.update_facts import announce, announced_facts
from tests.updates import facts


def test_what_is_announced_arrives() -> None:
    said = facts(
        7,
        bytes=40,
        num_samples=2.5,
        kind=UpdateKind.WEIGHT_DIFF,
        metrics={"loss": 0.5},
        validation={"val_auc": 0.75},
        seconds_train=1.25,
    )
    begin = announce(said, token="t", run_number=2, base_sha256="b", update_id="u")
    come = UpdateBegin.FromString(begin.SerializeToString())
    assert (come.token, come.run_number, come.base_sha256, come.update_id) == ("t", 2, "b", "u")
    assert announced_facts(come) == said


def test_a_kind_that_nobody_knows_is_refused_and_shown_in_part_only() -> None:
    with pytest.raises(RefusedError, match="weight_diff or weights, not 'kkk") as caught:
        announced_facts(UpdateBegin(kind="k" * 5000))
    assert caught.value.reason == "KIND"
    assert len(caught.value.message) < 200
