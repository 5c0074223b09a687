# SPDX-License-Identifier: Apache-2.0
"""How the program starts, and how errors leave it."""

import json
import subprocess
import sys
import types

import click
import pytest

from mmar_runner.cli import main as program
from mmar_runner.cli.lazy import LazyCommand
from mmar_runner.cli.output import Invocation, json_option
from mmar_runner.errors import RefusedError, RunStoppedError, TaskFailedError, UsageError
from mmar_runner.security.decision import Decision
from mmar_runner.security.steps import accepts, refuses


def call(monkeypatch, function, *arguments):
    """Run the program with one more command, ``probe``, that calls `function`."""

    @click.command("probe")
    @json_option
    def command(as_json):
        return function()

    module = types.ModuleType("probe_module")
    module.command = command
    monkeypatch.setitem(sys.modules, "probe_module", module)
    monkeypatch.setitem(program.cli._lazy, "probe", LazyCommand("probe_module", "Probes."))
    with pytest.raises(SystemExit) as caught:
        program.main(list(arguments) or ["probe"])
    return caught.value.code


def raising(error):
    def function():
        raise error

    return function


def test_a_foreseen_error_is_a_sentence_and_a_mend(monkeypatch, capsys):
    error = UsageError("no port is free", hint="use --listen 127.0.0.1:0")
    assert call(monkeypatch, raising(error)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error [USAGE]: no port is free\nhint: use --listen 127.0.0.1:0\n"


def test_an_error_carries_its_own_exit_code(monkeypatch):
    assert call(monkeypatch, raising(RunStoppedError("stopped"))) == 3


def test_a_stop_that_was_asked_for_is_no_error(monkeypatch, capsys):
    """A client said so in a plain line, and a server called it an error."""
    stopped = RunStoppedError("the run was stopped: SIGTERM", hint="the same command resumes it")
    assert call(monkeypatch, raising(stopped)) == 3
    said = "the run was stopped: SIGTERM\nhint: the same command resumes it\n"
    assert capsys.readouterr().err == said


def test_verbose_shows_the_traceback_of_a_foreseen_error(monkeypatch, capsys):
    assert call(monkeypatch, raising(UsageError("no")), "-v", "probe") == 2
    assert "Traceback" in capsys.readouterr().err


def test_verbose_shows_the_childs_traceback(monkeypatch, capsys):
    error = TaskFailedError("the trainer raised", details="Traceback of the child")
    call(monkeypatch, raising(error), "-v", "probe")
    err = capsys.readouterr().err
    assert "Traceback of the child" in err
    assert "Traceback (most recent call last)" not in err


def test_json_errors_are_json_on_standard_output(monkeypatch, capsys):
    error = RefusedError("the name is taken", hint="choose another", reason="NAME_TAKEN")
    assert call(monkeypatch, raising(error), "probe", "--json") == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "error": {
            "reason": "NAME_TAKEN",
            "message": "the name is taken",
            "hint": "choose another",
        }
    }


def test_wrong_usage_after_json_is_json_too(monkeypatch, capsys):
    assert call(monkeypatch, raising(UsageError("x")), "probe", "--json", "--nonsense") == 2
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "USAGE"


def refused_by_two_rules():
    steps = (
        accepts("signature.present", "It is signed."),
        refuses("policy.code", "CODE_NOT_ALLOWED", "The site allows no code."),
        refuses("policy.filters", "FILTER_MISSING", "A filter is missing.", hint="add it"),
    )
    Decision("run", "site-1", (), "0" * 64, steps).require()


def test_with_json_the_answers_of_rules_are_part_of_the_one_document(monkeypatch, capsys):
    assert call(monkeypatch, refused_by_two_rules, "probe", "--json") == 1
    out, err = capsys.readouterr()
    assert err == ""
    error = json.loads(out)["error"]
    assert error["reason"] == "CODE_NOT_ALLOWED"
    assert [step["accepted"] for step in error["steps"]] == [True, False, False]
    assert error["steps"][2]["hint"] == "add it"


def test_the_refusals_of_rules_are_sentences_without_json(monkeypatch, capsys):
    assert call(monkeypatch, refused_by_two_rules) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error [CODE_NOT_ALLOWED]: The site allows no code." in err
    assert "error [FILTER_MISSING]: A filter is missing.\nhint: add it" in err


def test_every_error_on_the_screen_has_the_id_of_its_reason(monkeypatch, capsys):
    error = RefusedError("the name is taken", reason="NAME_TAKEN")
    assert call(monkeypatch, raising(error)) == 1
    assert capsys.readouterr().err == "error [NAME_TAKEN]: the name is taken\n"


@pytest.mark.parametrize("words", [("probe", "--nonsense"), ("nonsense",), ("--nonsense",)])
def test_wrong_usage_says_how_it_is_called_and_has_an_id_too(monkeypatch, capsys, words):
    assert call(monkeypatch, raising(UsageError("x")), *words) == 2
    usage, error, hint = capsys.readouterr().err.rstrip().rsplit("\n", 2)
    assert usage.startswith("Usage: mmar-runner")
    assert error.startswith("error [USAGE]: No such ")
    assert hint.startswith("hint: `mmar-runner")


def test_an_unforeseen_error_is_one_sentence_and_a_file(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert call(monkeypatch, raising(KeyError("lost"))) == 70
    err = capsys.readouterr().err
    assert "error [INTERNAL]: internal error: KeyError: 'lost'" in err
    assert "Traceback" not in err
    [file] = tmp_path.iterdir()
    assert str(file) in err
    assert "Traceback" in file.read_text()


def test_an_unforeseen_error_stays_as_it_is_with_verbose(monkeypatch):
    with pytest.raises(KeyError, match="lost"):
        call(monkeypatch, raising(KeyError("lost")), "-v", "probe")


def test_an_unforeseen_error_is_json_where_json_was_asked_for(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert call(monkeypatch, raising(KeyError("lost")), "probe", "--json") == 70
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "INTERNAL"


def test_interrupting_gives_130(monkeypatch, capsys):
    assert call(monkeypatch, raising(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_command_ends_with_the_code_it_exits_with(monkeypatch):
    assert call(monkeypatch, lambda: click.get_current_context().exit(3)) == 3
    assert call(monkeypatch, lambda: 1) == 1
    assert call(monkeypatch, lambda: None) == 0


def test_an_unknown_command_is_wrong_usage(monkeypatch, capsys):
    assert call(monkeypatch, lambda: None, "run-sever") == 2
    assert "No such command 'run-sever'. Did you mean 'run-server'?" in capsys.readouterr().err


def test_an_unknown_command_that_is_near_none_is_wrong_usage_too(monkeypatch, capsys):
    assert call(monkeypatch, lambda: None, "zzz") == 2
    assert "error [USAGE]: No such command 'zzz'.\n" in capsys.readouterr().err


def test_an_unknown_command_of_a_group_is_told_the_near_one(monkeypatch, capsys):
    assert call(monkeypatch, lambda: None, "plugins", "docter") == 2
    assert "No such command 'docter'. Did you mean 'doctor'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["provision", "reqest"], "request"), (["init", "plugn", "x"], "plugin")],
    ids=str,
)
def test_so_is_one_that_takes_a_file_and_one_that_makes_one(monkeypatch, capsys, words, meant):
    assert call(monkeypatch, lambda: None, *words) == 2
    assert f"No such command '{words[1]}'. Did you mean '{meant}'?" in capsys.readouterr().err


def test_a_project_file_that_is_like_no_command_is_missed(monkeypatch, capsys):
    assert call(monkeypatch, lambda: None, "provision", "lungs.yml", "--out", "kits") == 2
    assert "File 'lungs.yml' does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["init"], ["plugins"], ["provision"]], ids=str)
def test_a_group_without_a_command_shows_its_help_and_nothing_else(capsys, words):
    with pytest.raises(SystemExit, match="2"):
        program.main(words)
    shown = capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        program.main([*words, "--help"])
    assert shown == capsys.readouterr().out


@pytest.mark.parametrize("group", ["", "audit", "init", "plugins", "policy", "provision"])
def test_a_list_of_commands_cuts_no_sentence_off(monkeypatch, capsys, group):
    assert call(monkeypatch, lambda: None, *group.split(), "--help") == 0
    commands = capsys.readouterr().out.split("Commands:")[1]
    assert commands.strip()
    assert "..." not in commands


def test_options_reach_commands_in_the_invocation(monkeypatch):
    seen = []
    code = call(
        monkeypatch,
        lambda: seen.append(click.get_current_context().find_object(Invocation)),
        *("-vv", "--log-format", "json", "probe", "--json"),
    )
    assert code == 0
    assert seen == [Invocation(verbose=2, log_format="json", json=True)]


def test_every_command_exists_and_has_help():
    for name in program.cli.list_commands(click.Context(program.cli)):
        command = program.cli.get_command(click.Context(program.cli), name)
        assert command is not None
        assert command.help or command.short_help, name
        assert command.name == name


def test_help_imports_no_command_and_nothing_heavy():
    code = (
        "import sys\n"
        "from mmar_runner.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'grpc', 'rich', 'torch', 'jsonschema', 'asyncio', 'pluggy', 'logging'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "run-server" in done.stdout


def test_a_closed_pipe_is_no_complaint():
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m mmar_runner --help | head -c 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_the_module_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "mmar_runner", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("mmar-runner, version ")


@pytest.mark.parametrize("name", [("--name", "run_1"), ("--name", "run", "--instance", "2")])
def test_no_client_is_called_as_the_folder_of_a_run(name, capsys):
    with pytest.raises(SystemExit) as caught:
        program.main(["run-client", "mmars/echo", "--insecure", *name])
    assert caught.value.code == 2
    assert "NAME_INVALID" in capsys.readouterr().err


def test_a_server_without_an_mmar_is_told_that_one_is_needed(capsys):
    with pytest.raises(SystemExit) as asked:
        program.main(["run-server", "--help"])
    assert asked.value.code == 0
    assert "run-server [OPTIONS] [MMAR]\n" in capsys.readouterr().out
    with pytest.raises(SystemExit) as refused:
        program.main(["run-server", "--insecure"])
    assert refused.value.code == 2
    assert "run-server needs an MMAR, or a start-up kit" in capsys.readouterr().err
