# SPDX-License-Identifier: Apache-2.0
"""Bytes, durations and metrics in words."""

import pytest

from mmar_runner.cli.views.wording import (
    further_lines,
    human_metrics,
    sentence,
)
from mmar_runner.interfaces.observer import Observation, Topic


def test_metrics_for_people_are_numbers_only():
    assert human_metrics({"b": 0.5, "a": 1, "c": "x", "d": True, "e": {"f": 1}}) == "a 1, b 0.5"
    assert human_metrics(None) == ""


@pytest.mark.parametrize(
    ("succeeded", "failed", "end"),
    [
        (3, 0, "/w/run_1"),
        (2, 1, "/w/run_1; 1 of 3 tasks failed, the last in round 2: no file [DATA]"),
        (0, 3, "/w/run_1; none of 3 tasks succeeded, the last in round 2: no file [DATA]"),
        (0, 1, "/w/run_1; its one task failed, the last in round 2: no file [DATA]"),
    ],
)
def test_a_clients_last_line_says_what_became_of_its_tasks(succeeded, failed, end):
    tasks = {"succeeded": succeeded, "failed": failed, "last_failure": "round 2: no file [DATA]"}
    facts = {"status": "finished", "reason": "", "run_folder": "/w/run_1", "tasks": tasks}
    assert sentence(Observation(Topic.RUN_ENDED, facts)).endswith(end)


@pytest.mark.parametrize(
    ("best", "end"),
    [(None, "/w/run_1, no best model"), (4, "/w/run_1, the best is that of round 4")],
)
def test_a_servers_last_line_says_which_model_is_the_best(best, end):
    facts = {"status": "finished", "reason": "", "run_folder": "/w/run_1", "best_round": best}
    assert sentence(Observation(Topic.RUN_ENDED, facts)).endswith(end)


def test_a_task_that_failed_again_is_not_told_in_the_same_words():
    """One missing column gave eight long lines."""
    facts = {"client": "site-1", "round": 0, "reason": "DATA", "message": "no column"}
    said = [sentence(Observation(Topic.TASK_FAILED, {**facts, "again": again}))
            for again in ("", "same", "another")]  # fmt: skip
    what = "the task of site-1 for round 0 failed at its site"
    assert said == [
        f"{what}: no column [DATA]",
        f"{what} again, for the same reason [DATA]",
        f"{what} again: no column [DATA]",
    ]


def test_a_failed_tasks_log_is_shown_folded_and_harmless_and_once():
    log = [f"line {number}" for number in range(39)] + ["\x1b[2Jred\u202e"]
    facts = {"client": "site-1", "round": 0, "reason": "DATA", "message": "no", "log": log}
    shown = further_lines(Observation(Topic.TASK_FAILED, facts))
    assert shown[0] == "    | ... 30 lines before, in the run's events.jsonl"
    assert shown[1] == "    | line 30"
    assert shown[-1] == "    | \\x1b[2Jred\\u202e"
    assert len(shown) == 11
    assert further_lines(Observation(Topic.TASK_FAILED, {**facts, "again": "same"})) == []
    assert further_lines(Observation(Topic.WAITING, {"message": "m"})) == []


def test_a_failed_runs_line_leaves_causes_to_the_error():
    facts = {"status": "failed", "reason": "round 0 has 1 of 2 updates; site-1: DATA: no column"}
    at_the_server = sentence(Observation(Topic.RUN_ENDED, {**facts, "best_round": None}))
    assert at_the_server == "run failed: round 0 has 1 of 2 updates"
    at_a_client = sentence(Observation(Topic.RUN_ENDED, facts))
    assert at_a_client.endswith("site-1: DATA: no column")


def test_who_was_left_out_is_named_with_the_rounds_and_the_reason():
    clients = [
        {"client": f"site-{number}", "rounds": 0, "of": 3, "reason": "DATA: no file"}
        for number in range(12)
    ]
    said = sentence(Observation(Topic.LEFT_OUT, {"clients": clients}))
    assert said.startswith("site-0 took part in 0 of 3 rounds: DATA: no file; site-1 took part")
    assert said.endswith("and 2 more, see summary.json")
