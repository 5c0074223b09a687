# SPDX-License-Identifier: Apache-2.0
"""What comes of an order is shown, and never obeyed by a terminal."""

import io
import json
import re

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from mmar_runner.cli.interactive.asking import line_of, may_go_on
from mmar_runner.cli.views.admin_view import AdminView
from mmar_runner.cli.views.run_watch import RunWatch, picture
from mmar_runner.cli.views.run_watch import line_of as status_line
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.errors import UsageError
from mmar_runner.interfaces.admin_event import Missing, Progress, Status, Table, Text, Value
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.orders.typed import understood

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e"
END = {"kind": "end", "status": "done", "seconds": 0.25, "at": "2026-01-01T12:00:00Z"}
RUN = {
    "status": "running",
    "reason": "",
    "run_number": 1,
    "num_rounds": 3,
    "round": 1,
    "waiting_for": "1 of 2 updates",
    "since": "2026-01-01T12:00:00Z",
    "updated": "2026-01-01T12:00:10Z",
    "clients": [
        {
            "name": "site-1",
            "state": "training",
            "last_heard": "2026-01-01T12:00:07Z",
            "progress": {"done": 5, "total": 9, "unit": "steps"},
        },
    ],
}


class Screen(io.StringIO):
    """A terminal that keeps what was written to it."""

    def isatty(self):
        return True


def shown(*events, screen=None):
    screen = screen or io.StringIO()
    with AdminView(stream=screen) as view:
        for event in events:
            view.show(event if isinstance(event, dict) else event.to_json())
    return screen.getvalue(), view


def hostile(name):
    return [
        Text(f"a {name}\nb"),
        Table((name, "b"), [[name, name]], name),
        Missing(name, name, name, name),
        Status({**RUN, "waiting_for": name, "clients": [{"name": name, "state": name}]}),
        Progress(name, 1, 2, "bytes"),
        Value({"a": name}),
        END,
    ]


@pytest.mark.parametrize("screen", [io.StringIO, Screen])
def test_no_terminal_obeys_what_a_server_sends(screen, capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text, _ = shown(*hostile(ESCAPE), screen=screen())
    seen = text + capsys.readouterr().err
    assert "owned" in seen
    assert "\x07" not in seen
    assert "\x1b]" not in seen
    assert "\x1b[2J\\u" not in seen
    assert "\u202e" not in seen


def test_markup_means_nothing():
    text, _ = shown(Table(("[red]a[/red]",), [["[bold]x[/bold]"]], "[link=a]t[/link]"))
    assert "[red]a[/red]" in text
    assert "[bold]x[/bold]" in text
    text, _ = shown(Table(("[red]a[/red]",), [["[/]"]], "[/t]"), screen=Screen())
    assert "[/]" in text


def test_a_table_in_a_pipe_has_a_line_for_every_row():
    rows = [[f"row-{i}", "word " * 100] for i in range(3000)]
    text, _ = shown(Table(("name", "words"), rows))
    assert len(text.splitlines()) == 3001


def test_a_terminal_gets_a_bounded_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [[f"row-{i}", "x" * 10] for i in range(3000)]
    text, _ = shown(Table(("name", "words"), rows), screen=Screen())
    assert "row-999" in text
    assert "row-1000" not in text
    assert "and 2000 more" in text


def test_a_narrow_terminal_loses_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    digest = "0123456789abcdef" * 4
    text, _ = shown(Table(("name", "digest"), [["study", digest]]), screen=Screen())
    assert digest in "".join(text.split()).replace("study", "")
    lines = re.sub(r"\x1b\[\d+m", "", text).splitlines()
    assert max(map(len, lines)) <= 30


def test_a_table_that_is_too_wide_is_shown_row_by_row(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    columns = ("client", "state", "since")
    rows = [["site-1", "training", "2026-01-01T12:00:00Z"]] * 2
    text, _ = shown(Table(columns, rows, "Clients"), screen=Screen())
    assert text.count("2026-01-01T12:00:00Z") == 2
    assert text.count("training") == 2
    assert text.count("Clients") == 1
    assert max(map(len, re.sub(r"\x1b\[\d+m", "", text).splitlines())) <= 40


@pytest.mark.parametrize("width", range(94, 112))
def test_no_word_of_a_table_is_broken(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    columns = ("client", "session", "state", "last heard", "since", "last round", "contributions")
    when = "2026-01-01T12:00:00Z"
    row = ["south-annex", "01234567", "connected", when, when, "-", "0"]
    drawn, _ = shown(Table(columns, [row], "Clients"), screen=Screen())
    text = re.sub(r"\x1b\[[\d;]+m", "", drawn)
    assert text.count(when) == 2
    assert {"contributions", "session", "south-annex"} <= set(text.split())
    assert max(map(len, text.splitlines())) <= width


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    table = Table(("a", "b"), [["1", "2"]], "title")
    assert "\x1b[" in shown(table, screen=Screen())[0]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(table, screen=Screen())[0]


def test_the_result_fits_its_schema_and_the_last_value_counts(capsys):
    _, view = shown(Value({"a": 1}), Missing("s", "R", "m"), Value({"a": 2}), END)
    result = view.result(("check_status", "all"))
    Draft202012Validator(load_schema("admin_result")).validate(result)
    assert result["value"] == {"a": 2}
    assert view.is_done
    assert view.done(1.0) == "Done [0.250000] 2026-01-01T12:00:00Z"
    assert capsys.readouterr().err == "s: m [R]\n"


def test_an_answer_that_broke_off_is_not_done():
    _, view = shown(Text("a"))
    assert not view.is_done
    Draft202012Validator(load_schema("admin_result")).validate(view.result(("watch",)))


def test_statuses_as_lines_of_json():
    out = io.StringIO()
    with AdminView(stream=out, quiet=True, statuses=True) as view:
        view.show(Status(RUN).to_json())
        view.show(Text("not shown").to_json())
        view.show(Status({"status": ESCAPE}).to_json())
    first, second = out.getvalue().splitlines()
    assert json.loads(first) == RUN
    assert json.loads(second) == {"status": ESCAPE}
    assert "\x1b" not in second


def test_a_status_in_a_line():
    said = status_line(RUN)
    assert said == (
        "run 1: running, round 1 (until 3); 1 client, 1 at work; "
        "waiting since 2026-01-01T12:00:00Z: 1 of 2 updates"
    )


def test_the_last_status_says_what_came_of_the_run():
    ended = {"status": "finished", "rounds": [{}, {}], "wall_seconds": 90, "best_model": "b"}
    assert status_line({**ended, "run_number": 1, "reason": ""}) == (
        "run 1: finished; 2 rounds in 1 min 30 s; best model: b"
    )


def test_a_picture_of_a_run():
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(picture(RUN, passed=2.0, most=20))
    text = console.export_text()
    for words in ("round 1 (until 3)", "site-1", "training", "5.0 s ago", "step 5 of 9", "Ctrl-C"):
        assert words in text


def test_a_picture_of_many_clients_is_bounded():
    many = {**RUN, "clients": [{"name": f"c{i}", "state": "idle"} for i in range(5000)]}
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(picture(many, passed=0.0, most=10))
    assert "and 4990 more" in console.export_text()


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"clients": 3, "round": "x", "num_rounds": [], "status": 1},
        {"clients": [3, {"name": None, "progress": {"done": "x", "unit": "bytes"}}]},
        {"clients": [{"progress": {"done": 1, "total": [], "unit": "steps"}}]},
        {"rounds": [], "wall_seconds": "x", "final_model": 3},
        {"round": -1, "num_rounds": 10**30, "updated": "yesterday", "clients": [{"name": "a"}]},
    ],
)
def test_strange_facts_are_left_out(facts):
    console = Console(file=io.StringIO(), width=80)
    console.print(picture(facts, passed=0.0, most=5))
    watch = RunWatch(console)
    watch.show(facts)
    watch.stop()


def call(*words):
    return understood(words, BUILT_IN, "lead@a.org")


def answering(text):
    async def ask(question):
        ask.question = question
        return text

    return ask


@pytest.mark.parametrize(
    ("words", "typed", "goes_on"),
    [
        ("check_status server", "", True),
        ("shutdown server", "server", True),
        ("shutdown server", "y", False),
        ("shutdown all", "all", True),
        ("shutdown all", "server", False),
        ("shutdown client", "client", True),
        ("shutdown client", "y", False),
        ("shutdown client site-1", "y", True),
        ("shutdown client site-1", "", False),
        ("delete_run_number 3 server", "server", True),
        ("remove_client site-1 site-2", "YES", True),
        ("remove_client site-1", "n", False),
    ],
)
async def test_what_is_asked_before_something_is_destroyed(words, typed, goes_on):
    assert await may_go_on(call(*words.split()), answering(typed), yes=False) is goes_on


async def test_the_question_says_what_it_is_about():
    ask = answering("")
    await may_go_on(call("remove_client", "site-1", "site-2"), ask, yes=False)
    assert ask.question == "remove_client site-1 site-2: really? [y/N] "
    assert line_of(call("delete_run_number", "3", "all")) == "delete_run_number 3 all"


async def test_nobody_to_ask():
    with pytest.raises(UsageError, match="no terminal") as caught:
        await may_go_on(call("abort", "server"), None, yes=False)
    assert caught.value.reason == "NOT_CONFIRMED"
    assert "--yes" in caught.value.hint
    assert await may_go_on(call("abort", "server"), None, yes=True)
    assert await may_go_on(call("watch"), None, yes=False)


HUGE = 10**400
NUMBERS = {
    "a_time": {"kind": "status", "facts": RUN | {"rounds": [], "wall_seconds": HUGE}},
    "bytes": {
        "kind": "status",
        "facts": RUN
        | {"clients": [{"name": "s", "progress": {"done": HUGE, "total": 9, "unit": "bytes"}}]},
    },
    "progress": {"kind": "progress", "what": "x", "done": HUGE, "total": 1, "unit": "bytes"},
    "steps": {"kind": "progress", "what": "x", "done": 1, "total": HUGE, "unit": "steps"},
    "nearly_endless": {"kind": "progress", "what": "x", "done": 1e308, "total": 2, "unit": ""},
    "an_end": END | {"seconds": HUGE},
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_is_too_large_ends_nothing(case):
    screen = Screen()
    view = AdminView(stream=screen)
    view._console = Console(file=screen, force_terminal=True, width=100)
    view._watch = RunWatch(view._console)
    view._bar._console = view._console
    with view:
        view.show(NUMBERS[case])
        view.show(NUMBERS[case])
    assert view.done(0.0).startswith("Done [")
