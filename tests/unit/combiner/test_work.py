# SPDX-License-Identifier: Apache-2.0
"""What a combiner says of its sites is as much as one message holds, and no more."""

from __future__ import annotations

import pytest

from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.combiner.work import require_sayable
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.update import Part
from tests.updates import facts


def pending(sites: int, metrics: int) -> PendingUpdate:
    said = facts(metrics={f"metric_{number}": 0.5 for number in range(metrics)})
    parts = tuple(
        Part(path=f"site-{n}", weight=1.0, facts=said, seconds_upload=1.0, wire_bytes=1000)
        for n in range(sites)
    )
    return PendingUpdate(
        facts=facts(codec="partial", parts=parts),
        run_number=1,
        base_sha256="0" * 64,
        update_id="1" * 64,
        file="update.safetensors",
        mmar_digest="2" * 64,
    )


def test_thousands_of_sites_fit_below_one_combiner() -> None:
    require_sayable(pending(8000, metrics=4))


def test_more_than_a_message_holds_is_said_and_not_sent() -> None:
    with pytest.raises(TaskFailedError) as failed:
        require_sayable(pending(8000, metrics=40))
    assert failed.value.reason == "TOO_LARGE"
    assert "8000 sites" in failed.value.message
