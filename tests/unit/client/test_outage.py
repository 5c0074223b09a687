# SPDX-License-Identifier: Apache-2.0
"""An outage is told, and so is its end; what was never told needs no end."""

from __future__ import annotations

from mmar_runner.client.connection.outage import Outage
from mmar_runner.errors import UnreachableError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.recorder import Recorder


def test_the_end_of_an_outage_is_told_once() -> None:
    recorder = Recorder()
    outage = Outage("server:8002", recorder)
    outage.end()
    assert recorder.all(Topic.ANSWERS) == []
    outage.begin(UnreachableError("no answer from server:8002"))
    outage.end()
    outage.end()
    [told] = recorder.all(Topic.ANSWERS)
    assert told.data["target"] == "server:8002"
    assert len(recorder.all(Topic.UNREACHABLE)) == 1
