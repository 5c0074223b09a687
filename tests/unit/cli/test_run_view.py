# SPDX-License-Identifier: Apache-2.0
"""The table of a run: who does what, and what came of it."""

import io

import pytest
from rich.console import Console

from mmar_runner.cli.views.live import render
from mmar_runner.cli.views.run_view import RunView
from mmar_runner.cli.views.wording import sentence
from mmar_runner.interfaces.observer import Observation, Topic
from tests.unit.cli.watched_runs import END, SERVER, SESSION


def picture(observations, *, width=100, role="server", elapsed=61.0):
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    view = RunView()
    for observation in observations:
        view.see(observation)
    console.print(render(view, title=f"{role} breast_cancer", elapsed=elapsed))
    return console.export_text()


def test_the_table_shows_who_does_what():
    text = picture(SERVER)
    assert "server breast_cancer  run 1  127.0.0.1:8002  1 min 01 s" in text
    assert "0/4 rounds" in text
    assert "25% of 100.0 MiB" in text
    rows = [line for line in text.splitlines() if "site-" in line]
    assert rows[0].startswith("site-2 ")
    assert "training" in rows[0]
    assert "done" in rows[1]
    assert "100.0 MiB" in rows[1]
    assert "3.2 s" in rows[1]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({}, ""),
        ({"step": 3, "steps": 40}, ", step 3 of 40"),
        ({"step": 3, "steps": 0}, ", step 3"),
        ({"step": 0, "steps": 40}, ", step 0 of 40"),
    ],
)
def test_how_far_a_client_is_is_said_if_it_says_so(steps, words):
    facts = {"client": "site-1", "state": "training", **steps}
    assert sentence(Observation(Topic.CLIENT_STATE, facts)) == f"site-1 is training{words}"


def test_the_table_shows_steps_until_the_update_comes():
    steps = Observation(
        Topic.CLIENT_STATE, {"client": "site-1", "state": "training", "step": 3, "steps": 40}
    )
    joined = Observation(Topic.CLIENT_JOINED, {"client": "site-1", "active": 1})
    sent = {"client": "site-1", "done": 1, "total": 4, "unit": "bytes"}
    assert "training 3/40" in picture([joined, steps])
    text = picture([joined, steps, Observation(Topic.CLIENT_PROGRESS, sent)])
    assert "3/40" not in text
    assert "25% of 4 B" in text


def test_the_table_shows_the_outcome():
    text = picture(SERVER + END)
    assert "finished" in text.splitlines()[0]
    assert "1/4 rounds" in text
    assert "val_auc 0.9877" in text
    assert "round 0 with 0.9877" in text
    assert "4.5 s a round" in text


def test_a_refusal_stands_beside_its_client():
    text = picture([*SERVER, END[0]])
    [row] = [line for line in text.splitlines() if line.startswith("site-2 ")]
    assert "refused" in row
    assert "NaN in 'w'" in row


def test_a_client_that_goes_home_at_the_end_is_done():
    gone = Observation(Topic.CLIENT_LEFT, {"client": "site-10", "reason": "finished", "active": 0})
    [row] = [line for line in picture([*SERVER, gone]).splitlines() if line.startswith("site-10")]
    assert "done" in row
    assert "finished" not in row


def test_waiting_says_for_what_until_a_round_opens():
    assert "round 0: 1 of 2 clients" in picture(SERVER[:3])
    assert "round 0: 1 of 2 clients" not in picture(SERVER)


def test_a_run_that_never_stops_has_no_bar():
    started = Observation(Topic.ROUND_STARTED, {"round": 7, "num_rounds": -1, "participants": []})
    assert "round 7" in picture([started])


def test_a_session_sees_itself():
    text = picture(SESSION[:7], role="client")
    [row] = [line for line in text.splitlines() if line.startswith("site-1 ")]
    assert "done" in row
    assert "2.0 KiB" in row
    assert "train_loss 0.125" in row
    assert "answer" not in text
    assert "4/10 rounds" in text  # rounds before it came lie behind it too


def test_a_session_that_waits_for_its_server_says_since_when_in_one_line():
    lost = {"target": "[::1]:8002", "message": "no answer from [::1]:8002: Connection refused"}
    text = picture([Observation(Topic.UNREACHABLE, {**lost, "since_seconds": 12.0})])
    assert "[::1]:8002 has not answered for 12.0 s, trying again: Connection refused" in text
    assert sentence(Observation(Topic.UNREACHABLE, {**lost, "since_seconds": 0.0})) == (
        "[::1]:8002 does not answer, trying again: Connection refused"
    )
    hinted = {**lost, "since_seconds": 0.0, "hint": "is the server running?"}
    assert sentence(Observation(Topic.UNREACHABLE, hinted)).endswith(" (is the server running?)")


@pytest.mark.parametrize(
    ("message", "since", "said"),
    [
        ("no answer from host:1", 0.0, "host:1 does not answer, trying again"),
        ("no answer from host:1", 9.0, "host:1 has not answered for 9.0 s, trying again"),
        (
            "host:1 answers, but is no gRPC server",
            0.0,
            "host:1 answers, but is no gRPC server; trying again",
        ),
        ("host:1 does not speak TLS", 9.0, "host:1 does not speak TLS, for 9.0 s; trying again"),
        ("this machine cannot find it", 0.0, "host:1 does not answer, trying again: this machine"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_once(message, since, said):
    facts = {"target": "host:1", "message": message, "since_seconds": since}
    text = sentence(Observation(Topic.UNREACHABLE, facts))
    assert text.startswith(said)
    assert text.count("answer") <= 1


def test_a_stopped_run_shows_nobody_at_work():
    ended = Observation(Topic.RUN_ENDED, {"status": "stopped", "reason": "asked to"})
    text = picture([*SESSION[:5], ended], role="client")
    [row] = [line for line in text.splitlines() if line.startswith("site-1 ")]
    assert "idle" in row
    assert "asked to" not in text  # it was said above the table


def test_many_clients_fit_on_a_screen():
    joined = [Observation(Topic.CLIENT_JOINED, {"client": f"site-{k}"}) for k in range(1, 51)]
    text = picture(joined)
    assert "and 30 more" in text
    assert len(text.splitlines()) < 26


def test_a_narrow_terminal_is_no_trouble():
    assert "site-2" in picture(SERVER + END, width=40)


def test_the_best_model_is_a_rounds_result_and_says_when_it_was_scored():
    """Clients score what they receive: that is the result of the round before."""
    told = [
        sentence(Observation(Topic.BEST_MODEL, {"round": 0, "score": 0.97, **when}))
        for when in ({"scored_in": 1}, {"scored_in": 0}, {})
    ]
    assert told == [
        "best model so far: the result of round 0 (scored in round 1) with 0.97",
        "best model so far: the result of round 0 with 0.97",
        "best model so far: the result of round 0 with 0.97",
    ]


def test_a_task_that_failed_at_a_site_is_told_as_that_at_the_server() -> None:
    facts = {"round": 1, "reason": "DISK_FULL", "message": "/ws/pending.json: No space left"}
    assert sentence(Observation(Topic.TASK_FAILED, {**facts, "client": "site-1"})) == (
        "the task of site-1 for round 1 failed at its site: "
        "/ws/pending.json: No space left [DISK_FULL]"
    )
    assert sentence(Observation(Topic.TASK_FAILED, facts)).startswith("round 1: training failed: ")
    assert sentence(Observation(Topic.UPDATE_REFUSED, {**facts, "client": "site-1"})) == (
        "update of site-1 for round 1 refused: /ws/pending.json: No space left [DISK_FULL]"
    )
