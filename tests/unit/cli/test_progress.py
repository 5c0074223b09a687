# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a run: the table, lines, or JSON."""

import io
import json
import os
import pty
from datetime import UTC, datetime

import pytest
from rich.console import Console

from mmar_runner.cli.output import Invocation
from mmar_runner.cli.views.live import LiveObserver
from mmar_runner.cli.views.progress import JsonObserver, LineObserver, make_observer
from mmar_runner.cli.views.run_view import RunView
from mmar_runner.cli.views.wording import sentence
from mmar_runner.interfaces.observer import Observation, Topic
from tests.unit.cli.watched_runs import END, SERVER, SESSION


def noon():
    return datetime(2026, 1, 1, 12, tzinfo=UTC)


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
        (Topic.LISTENING, {"before": "left"}, "starting run 2 in /w; run 1 is left unfinished"),
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
