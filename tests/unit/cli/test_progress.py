# SPDX-License-Identifier: Apache-2.0
"""What a person or a program sees while a run goes on."""

import io
import json
import os
import pty
from datetime import UTC, datetime

import pytest
from rich.console import Console

from mmar_runner.cli.live import LiveObserver, render
from mmar_runner.cli.output import Invocation
from mmar_runner.cli.progress import JsonObserver, LineObserver, make_observer
from mmar_runner.cli.run_view import RunView
from mmar_runner.cli.wording import human_bytes, human_metrics, human_seconds, sentence
from mmar_runner.interfaces.observer import Observation, Topic

SERVER = [
    Observation(
        Topic.LISTENING,
        {"listen": "127.0.0.1:8002", "workspace": "/w", "run_number": 1, "resumed": False},
    ),
    Observation(Topic.WAITING, {"message": "round 0: 1 of 2 clients"}),
    Observation(Topic.CLIENT_JOINED, {"client": "site-10", "active": 1}),
    Observation(Topic.CLIENT_JOINED, {"client": "site-2", "active": 2}),
    Observation(
        Topic.ROUND_STARTED,
        {"round": 0, "num_rounds": 4, "participants": ["site-10", "site-2"]},
    ),
    Observation(
        Topic.CLIENT_PROGRESS,
        {"client": "site-2", "done": 25 << 20, "total": 100 << 20, "unit": "bytes"},
    ),
    Observation(
        Topic.UPDATE_ACCEPTED,
        {
            "client": "site-10",
            "round": 0,
            "bytes": 100 << 20,
            "num_samples": 120,
            "seconds_train": 3.25,
        },
    ),
]
END = [
    Observation(
        Topic.UPDATE_REFUSED,
        {"client": "site-2", "round": 0, "reason": "NON_FINITE", "message": "NaN in 'w'"},
    ),
    Observation(
        Topic.ROUND_FINISHED,
        {
            "round": 0,
            "num_rounds": 4,
            "seconds": 4.5,
            "metrics": {"val_auc": 0.98765, "note": "x"},
            "model_sha256": "ab",
            "clients": ["site-10"],
        },
    ),
    Observation(Topic.BEST_MODEL, {"round": 0, "score": 0.98765}),
    Observation(
        Topic.SITE_DECLINED,
        {"client": "site-3", "reason": "BYOC_REFUSED", "message": "no code here"},
    ),
    Observation(Topic.CLIENT_LEFT, {"client": "site-2", "reason": "quit", "active": 1}),
    Observation(
        Topic.RUN_ENDED,
        {"status": "finished", "reason": "", "run_folder": "/w/run_1", "wall_seconds": 65},
    ),
]
SESSION = [
    Observation(Topic.CONNECTING, {"target": "127.0.0.1:8002"}),
    Observation(
        Topic.UNREACHABLE,
        {"target": "127.0.0.1:8002", "since_seconds": 12.0, "message": "connection refused"},
    ),
    Observation(Topic.REGISTERED, {"client": "site-1", "run_number": 2, "num_rounds": 10}),
    Observation(Topic.MODEL_RECEIVED, {"round": 3, "bytes": 2048, "seconds": 0.01}),
    Observation(Topic.TRAINING, {"round": 3}),
    Observation(
        Topic.TRAINED,
        {"round": 3, "seconds": 2.0, "num_samples": 50, "metrics": {"train_loss": 0.125}},
    ),
    Observation(Topic.SUBMITTED, {"round": 3, "bytes": 2048, "seconds": 0.02, "duplicate": True}),
    Observation(
        Topic.TASK_FAILED, {"round": 4, "reason": "CHILD_DIED", "message": "killed by SIGKILL"}
    ),
    Observation(Topic.REFUSED, {"round": 4, "reason": "ROUND", "message": "round 5 is open"}),
    Observation(Topic.PACKAGE_RECEIVED, {"mmar": "echo", "bytes": 4096, "seconds": 0.5}),
]


def noon():
    return datetime(2026, 1, 1, 12, tzinfo=UTC)


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


def test_the_live_table_keeps_what_matters_above_it():
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    with LiveObserver("server", mmar="echo", console=console, clock=lambda: 0.0) as observer:
        for observation in SERVER + END:
            observer.observe(observation)
    text = stream.getvalue()
    assert "round 0 (last: 3) finished in 4.5 s: val_auc 0.9877" in text
    assert "run finished after 1 min 05 s; results in /w/run_1" in text
    assert "\x1b[?25h" in text  # the cursor is given back


def test_lines_say_one_event_each_and_leave_out_the_chatter():
    stream = io.StringIO()
    with LineObserver(stream, clock=noon) as observer:
        for observation in SERVER + END:
            observer.observe(observation)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(SERVER + END) - 1
    assert lines[0] == "12:00:00 listening on 127.0.0.1:8002, starting run 1 in /w"
    assert "12:00:00 round 0 (last: 3) started with 2 clients" in lines


@pytest.mark.parametrize(
    ("topic", "data", "said"),
    [
        (Topic.LISTENING, {"before": "finished"}, "starting run 2 in /w; run 1 is finished"),
        (Topic.LISTENING, {"before": "left"}, "starting run 2 in /w; run 1 is left as it is"),
        (Topic.LISTENING, {"resumed": True, "before": ""}, "resuming run 2 in /w"),
        (Topic.WAITING, {"message": "0 of 2"}, "waiting: 0 of 2"),
        (
            Topic.WAITING,
            {"message": "0 of 2", "since_seconds": 90},
            "still waiting after 1 min 30 s: 0 of 2",
        ),
    ],
    ids=["finished", "left", "resumed", "waiting", "still waiting"],
)
def test_whether_a_run_is_new_and_how_long_one_waits_is_said(topic, data, said):
    facts = {"run_number": 2, "workspace": "/w", **data}
    assert sentence(Observation(topic, facts)).endswith(said)


def test_json_lines_hold_everything():
    stream = io.StringIO()
    with JsonObserver("client", stream, clock=noon) as observer:
        for observation in SESSION:
            observer.observe(observation)
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [entry["topic"] for entry in entries] == [o.topic.value for o in SESSION]
    assert entries[2]["data"] == {"client": "site-1", "run_number": 2, "num_rounds": 10}
    assert entries[0]["time"] == "2026-01-01T12:00:00+00:00"
    assert entries[0]["role"] == "client"


@pytest.mark.parametrize(
    ("invocation", "is_tty", "kind"),
    [
        (Invocation(), False, "LineObserver"),
        (Invocation(), True, "LiveObserver"),
        (Invocation(log_format="json"), True, "JsonObserver"),
    ],
)
def test_the_observer_suits_whoever_watches(invocation, is_tty, kind):
    observer = make_observer("server", invocation, is_tty=is_tty, stream=io.StringIO())
    assert type(observer).__name__ == kind


def test_a_program_in_the_background_leaves_the_table_to_others(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "w"), os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
        assert type(make_observer("server", Invocation(), stream=terminal)) is LiveObserver
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
        assert type(make_observer("server", Invocation(), stream=terminal)) is LineObserver


def test_a_quiet_observer_writes_nothing():
    stream = io.StringIO()
    with make_observer("server", Invocation(), quiet=True, stream=stream) as observer:
        observer.observe(SERVER[0])
    assert stream.getvalue() == ""


@pytest.mark.parametrize("topic", list(Topic))
def test_every_topic_has_a_sentence_and_a_place_in_the_view(topic):
    data = {"client": "site-1", "round": 0}
    assert sentence(Observation(topic, data))
    RunView().see(Observation(topic, data))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (100_000_000, "95.4 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (3.44, "3.4 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_durations_for_people(seconds, text):
    assert human_seconds(seconds) == text


def test_metrics_for_people_are_numbers_only():
    assert human_metrics({"b": 0.5, "a": 1, "c": "x", "d": True, "e": {"f": 1}}) == "a 1, b 0.5"
    assert human_metrics(None) == ""


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
