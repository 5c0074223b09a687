# SPDX-License-Identifier: Apache-2.0
"""What a run waits for is said once, with those who declined for as long as they do."""

from __future__ import annotations

from pathlib import Path

from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.decision import Decision
from mmar_runner.security.steps import refuses
from mmar_runner.server.events import EventDispatcher
from mmar_runner.server.packages import Deployment, declined_sentence
from mmar_runner.server.reporter import Reporter
from mmar_runner.testing.recorder import Recorder


def said(recorder: Recorder) -> list[str]:
    return [str(each.data["message"]) for each in recorder.all(Topic.WAITING)]


def test_who_declined_is_part_of_what_is_waited_for_until_they_come_back() -> None:
    recorder = Recorder()
    reporter = Reporter(EventDispatcher([], load_plugins(), None), recorder, num_rounds=2)  # type: ignore[arg-type]
    reporter.declined("")
    assert said(recorder) == []
    for _ in range(2):
        reporter.waiting("round 0: 0 of 2")
        reporter.declined("declined by a [X]")
    reporter.waiting("round 0: 1 of 2")
    reporter.declined("")
    assert said(recorder) == [
        "round 0: 0 of 2",
        "round 0: 0 of 2; declined by a [X]",
        "round 0: 1 of 2; declined by a [X]",
        "round 0: 1 of 2",
    ]


def test_the_sentence_counts_the_sites_that_may_run_it_and_did_not_decline(tmp_path: Path) -> None:
    no = refuses("site.byoc", "BYOC_NOT_ALLOWED", "No.", hint="Ask.")
    decisions = {
        site: Decision("deploy", site, (), "0" * 64, (no,) if site == "d" else ())
        for site in "abcd"
    }
    deployment = Deployment(tmp_path, "0" * 64, tmp_path / "x.zip", decisions, needed=2)
    assert declined_sentence({}, deployment) == ""
    assert declined_sentence({"b": "X"}, deployment) == "declined by b [X]"
    few = declined_sentence({"b": "X", "a": "Y"}, deployment)
    assert few.startswith("declined by a [Y], b [X]; the run needs 2 clients, and only 1 of the 3 ")
    assert "(c)" in few
