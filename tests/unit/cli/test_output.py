# SPDX-License-Identifier: Apache-2.0
"""What is printed for people is shown by a terminal, and not obeyed, whoever wrote it."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from mmar_runner.cli import output
from mmar_runner.cli.logging import JsonFormatter, TextFormatter
from mmar_runner.cli.main import main
from mmar_runner.cli.output import Invocation, echo_error, echo_json, say
from mmar_runner.cli.views.live import render
from mmar_runner.cli.views.progress import JsonObserver
from mmar_runner.cli.views.run_view import RunView
from mmar_runner.errors import UsageError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import make_kits

ADA = "ada@example.org"
#: Commands of a terminal, line breaks of every kind, and what turns the writing about.
OBEYED = "\x1b[2J\x07\r\x9b31m\x7f\u200b\u200f\u2028\u2029\u202a\u202e\u2066\u2069\U000e0041"
EVIL = f"x{OBEYED}\nerror [FAKE]: it was accepted"
CLI = Path(output.__file__).parent


def shown(text):
    """Return what was printed, once it is certain that it is harmless."""
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines), text
    assert not any(line.startswith("error [FAKE]") for line in lines)
    return text


def test_one_place_alone_writes_for_people():
    for file in CLI.rglob("*.py"):
        calls = re.findall(r"click\.echo\((.*)\)$|\s(print\()", file.read_text(), re.MULTILINE)
        allowed = {"validate_mmar.py": [("_render(reports, output)", "")]}  # it may hold colours
        assert file.name == "output.py" or calls == allowed.get(file.name, []), file


def test_lines_are_shown_as_they_are_and_begin_nowhere_else(capsys):
    say("plain Ω", EVIL, err=True)

    first, second, last = shown(capsys.readouterr().err).split("\n")
    assert (first, last) == ("plain Ω", "")
    assert second.startswith(r"x\x1b[2J\x07\r\x9b31m\x7f\u200b\u200f\u2028")
    assert second.endswith(r"\U000e0041\nerror [FAKE]: it was accepted")


def test_an_error_begins_one_line_alone(capsys):
    echo_error(UsageError(EVIL, hint=EVIL, reason=EVIL), Invocation())

    text = shown(capsys.readouterr().err)
    assert text.startswith("error [x\\x1b[2J")
    assert "\n    error [FAKE]: it was accepted\nhint: x\\x1b" in text


def test_json_is_as_harmless_and_says_the_same(capsys):
    echo_json({EVIL: [EVIL, "Ω"]})

    text = shown(capsys.readouterr().out)
    assert json.loads(text) == {EVIL: [EVIL, "Ω"]}
    assert "Ω" in text


@pytest.mark.parametrize(
    "formatter", [JsonFormatter(), TextFormatter("%(levelname)s: %(message)s")]
)
def test_log_messages_and_their_tracebacks_are_harmless(formatter):
    def fail():
        raise ValueError(EVIL)

    try:
        fail()
    except ValueError as error:
        caught = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("a", logging.WARNING, "f", 1, "%s", (EVIL,), caught)

    text = formatter.format(record)

    assert all(line.isprintable() for line in text.split("\n"))
    assert "ValueError: x" in text


OBSERVED = [
    Observation(Topic.LISTENING, {"listen": EVIL, "run_number": 1}),
    Observation(Topic.CLIENT_JOINED, {"client": EVIL, "active": 1}),
    Observation(Topic.TRAINED, {"client": EVIL, "round": 0, "metrics": {EVIL: 1.0}}),
    Observation(Topic.SITE_DECLINED, {"client": EVIL, "reason": EVIL, "message": EVIL}),
    Observation(Topic.WAITING, {"message": EVIL}),
    Observation(Topic.RUN_ENDED, {"status": EVIL, "reason": EVIL}),
]


def test_the_live_table_is_harmless():
    view, stream = RunView(), io.StringIO()
    console = Console(file=stream, width=1000, color_system=None)

    for observation in OBSERVED:
        view.see(observation)
        console.print(render(view, title="client", elapsed=0.0))

    shown(stream.getvalue())


def test_lines_of_json_about_a_run_are_harmless():
    stream = io.StringIO()
    observer = JsonObserver("client", stream)

    for observation in OBSERVED:
        observer.observe(observation)

    lines = shown(stream.getvalue()).splitlines()
    assert json.loads(lines[4])["data"]["message"] == EVIL


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    return make_kits(tmp_path_factory.mktemp("project"), clients=("site-1",), admins=(ADA,))


@pytest.fixture
def mmar(tmp_path):
    """An MMAR whose component and folder have names that a terminal would obey."""
    folder = MmarBuilder().write(tmp_path)
    path = folder / "config" / "config_fed_client.json"
    config = json.loads(path.read_text())
    config["client_trainer"]["name"] = EVIL
    path.write_text(json.dumps(config))
    return Path(shutil.move(folder, tmp_path / "n\x1b[2J\u202e\nerror [FAKE]: m"))


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return ended.value.code, shown(said.out) + shown(said.err)


@pytest.mark.parametrize("form", ["text", "github", "json", "sarif"])
def test_what_the_validator_finds_is_harmless(capsys, mmar, form):
    code, text = call(capsys, "validate-mmar", mmar, "--format", form)

    assert code == 1
    assert "MMAR501" in text


def test_what_is_said_of_a_folder_with_a_harmful_name_is_harmless(capsys, mmar, kits):
    code, text = call(capsys, "verify-mmar", mmar, "--kit", kits.client("site-1"))
    assert (code, r"/n\x1b[2J\u202e\nerror [FAKE]: m" in text) == (1, True)

    asked = ("--user", EVIL, "--site", EVIL, "--action", "run")
    code, text = call(capsys, "policy", "explain", mmar, "--kit", kits.admin(ADA), *asked)
    assert (code, r"x\x1b[2J\x07" in text) == (1, True)


def test_what_is_said_of_a_component_with_a_harmful_name_is_harmless(capsys, mmar, kits, tmp_path):
    mmar = mmar.rename(tmp_path / "plain")
    site = kits.client("site-1")
    run = ("run-client", mmar, "--insecure", "--name", "site-1", "--workspace", tmp_path / "w")
    for command in (
        ("verify-mmar", mmar, "--kit", site),
        ("policy", "explain", mmar, "--kit", site, "--action", "run"),
        run,
        ("--log-format", "json", *run),
    ):
        code, text = call(capsys, *command)
        assert (code, r"named 'x\x1b[2J\x07" in text) == (1, True), command


def test_a_folder_that_could_not_be_delivered_is_not_signed(capsys, mmar, kits):
    code, text = call(capsys, "sign-mmar", mmar, "--kit", kits.admin(ADA))

    assert code == 1
    assert "error [UNSAFE_PATH]: the folder has the name 'n\\x1b[2J" in text
    assert "hint: rename the folder" in text
    assert not (mmar / "signature.json").exists()
