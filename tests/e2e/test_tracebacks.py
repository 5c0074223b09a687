# SPDX-License-Identifier: Apache-2.0
"""What a component raises is found again: in a file that is named, and with -v on the screen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningProgram, RunningServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

PLUGINS = Path(__file__).parent / "plugins"
ONE = {"MIN_NUM_CLIENTS": 1, "NUM_ROUNDS": 2}


@pytest.fixture
def simulate(stack: ExitStack, tmp_path: Path) -> Callable[..., RunningProgram]:
    """Simulate one client, with the plugin that raises."""

    def start(mmar: Path, *verbose: str) -> RunningProgram:
        arguments = [*verbose, "simulate", str(mmar), "--clients", "1", "--plugins-dir"]
        arguments += [str(PLUGINS), "--workspace", str(tmp_path / "ws")]
        return stack.enter_context(
            RunningProgram(arguments, folder=tmp_path / "said", label="simulate")
        )

    return start


def tracebacks(program: RunningProgram) -> str:
    """Return what a program has said on standard error, its JSON lines as text."""
    lines = [line for line in program.stderr.splitlines() if line.startswith("{")]
    return "\n".join(str(json.loads(line).get("traceback")) for line in lines)


def files_with(folder: Path, words: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and words in path.read_bytes()]


def test_a_trainers_traceback_is_in_the_log_that_the_clients_line_names(
    stack: ExitStack, tmp_path: Path
) -> None:
    """`run_1/logs/trainer.log` was empty, which two pages of the documentation name."""
    mmar = MmarBuilder().variables(**ONE).trainer("EchoTrainer", fail_in_round=1).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "server"))
    arguments = ["-v", "run-client", str(mmar), "--server", server.address(), "--insecure"]
    arguments += ["--name", "site-1", "--workspace", str(tmp_path / "clients")]
    client = stack.enter_context(
        RunningProgram(arguments, folder=tmp_path / "said", label="client")
    )

    assert (client.wait(), server.wait()) == (1, 1)
    log = tmp_path / "clients" / "site-1" / "run_1" / "logs" / "trainer.log"
    failed = client.observations(Topic.TASK_FAILED, round=1)
    assert failed
    assert all(one["hint"] == f"the traceback is in {log}" for one in failed)
    kept = log.read_text()
    assert "train, round 1 failed:\nTraceback (most recent call last):" in kept
    assert "mmar_runner_echo/trainer.py" in kept
    assert "mmar_runner_echo/trainer.py" in tracebacks(client)
    # The server is told a sentence, and what the task logged; not where the site keeps its log.
    told = server.observations(Topic.TASK_FAILED, client="site-1", round=1)
    assert [one["log"][-1] for one in told] == [kept.splitlines()[-1]] * len(told)
    assert not files_with(tmp_path / "server", b"trainer.log")
    assert "trainer.log" not in server.stdout + server.stderr


def test_a_filters_traceback_is_named_by_a_simulation(
    simulate: Callable[..., RunningProgram], tmp_path: Path
) -> None:
    mmar = MmarBuilder().client_filter("RaisingFilter").write(tmp_path)
    program = simulate(mmar, "-v")

    assert program.wait() == 1
    log = tmp_path / "ws" / "clients" / "site-1" / "run_1" / "logs" / "outbound_filters.log"
    failed: list[dict[str, Any]] = program.observations(Topic.TASK_FAILED, client="site-1")
    assert failed[0]["hint"] == f"the traceback is in {log}"
    assert re.fullmatch(
        r"the filter RaisingFilter \(config/config_fed_client.json:\d+\), given the tensor "
        r"'\S+', raised OverflowError: too much to hide",
        failed[0]["message"],
    )
    assert 'raise OverflowError("too much to hide")' in log.read_text()
    assert 'raise OverflowError("too much to hide")' in tracebacks(program)


def test_an_aggregators_traceback_is_in_a_file_that_the_servers_last_line_names(
    simulate: Callable[..., RunningProgram], tmp_path: Path
) -> None:
    """There was none anywhere, with `-vv` neither."""
    mmar = MmarBuilder().aggregator("RaisingAggregator").write(tmp_path)
    program = simulate(mmar, "-v")

    assert program.wait() == 1
    log = tmp_path / "ws" / "run_1" / "logs" / "aggregator.log"
    assert "ZeroDivisionError: no weights at all" in log.read_text()
    assert 'raise ZeroDivisionError("no weights at all")' in log.read_text()
    assert f"hint: the traceback is in {log}" in program.stderr
    assert 'raise ZeroDivisionError("no weights at all")' in tracebacks(program)


def test_run_server_names_the_aggregators_traceback_and_shows_it_when_asked(
    stack: ExitStack, tmp_path: Path
) -> None:
    mmar = MmarBuilder().variables(**ONE).aggregator("RaisingAggregator").write(tmp_path)
    said = tmp_path / "said"
    plugins = ["--plugins-dir", str(PLUGINS)]
    arguments = ["-v", "run-server", str(mmar), "--insecure", "--listen", "127.0.0.1:0", *plugins]
    arguments += ["--workspace", str(tmp_path / "server")]
    server = stack.enter_context(RunningProgram(arguments, folder=said, label="server"))
    address = server.wait_for(Topic.LISTENING)["listen"]
    arguments = ["run-client", str(mmar), "--insecure", "--server", address, "--name", "site-1"]
    arguments += ["--workspace", str(tmp_path / "clients"), *plugins]
    client = stack.enter_context(RunningProgram(arguments, folder=said, label="client"))

    assert (server.wait(), client.wait()) == (1, 1)
    log = tmp_path / "server" / "run_1" / "logs" / "aggregator.log"
    assert f"the traceback is in {log}; see " in server.stderr
    assert 'raise ZeroDivisionError("no weights at all")' in tracebacks(server)
    # Clients are told why, and not where the server keeps its files.
    assert "ZeroDivisionError: no weights at all" in client.stdout
    assert "aggregator.log" not in client.stdout + client.stderr


@pytest.mark.parametrize(("event", "rounds"), [("AFTER_AGGREGATION", [0, 1]), ("END_RUN", [None])])
def test_a_handler_that_fails_is_on_record_wherever_a_run_is_looked_at(
    simulate: Callable[..., RunningProgram], tmp_path: Path, event: str, rounds: list[int | None]
) -> None:
    """A nightly run whose handler had reported to nobody was green, and no file knew of it."""
    mmar = MmarBuilder().handler("RaisingHandler", at=event).write(tmp_path)
    program = simulate(mmar)

    assert program.wait() == 0, program.stderr
    run = tmp_path / "ws" / "run_1"
    log = run / "logs" / "components.log"
    lines = (mmar / "config" / "config_fed_server.json").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if '"handlers"' in text) + 1
    where = f"config/config_fed_server.json:{line}"
    said = {"component": f"the handler RaisingHandler ({where})", "event": event}
    said["message"] = "ConnectionError: 503 Service Unavailable"
    told = program.observations(Topic.COMPONENT_FAILED, **said)
    assert [one["round"] for one in told] == rounds
    assert {one["hint"] for one in told} == {f"the traceback is in {log}"}
    assert log.read_text().count('raise ConnectionError("503 Service Unavailable")') == len(rounds)
    assert "Traceback" not in program.stderr
    often = {"times": len(rounds), "first_round": rounds[0], "last_round": rounds[-1]}
    for file, schema in (("summary.json", "summary"), ("status.json", "run_status")):
        written = json.loads((run / file).read_bytes())
        assert written["components_failed"] == [{**said, **often}]
        assert not faults(load_schema(schema), written)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    recorded = [one for one in events if one["kind"] == "component_failed"]
    assert [one["data"]["round"] for one in recorded] == rounds
    (run / "status.json").unlink()  # what is on record suffices
    status = subprocess.run(
        [sys.executable, "-m", "mmar_runner", "status", str(tmp_path / "ws")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"the handler RaisingHandler ({where}) failed" in status
    assert "503 Service Unavailable" in status
    assert str(run / "logs") in status


def test_a_handler_that_refuses_the_run_is_shown_with_its_frames_out_of_a_simulation(
    simulate: Callable[..., RunningProgram], tmp_path: Path
) -> None:
    mmar = MmarBuilder().handler("RaisingHandler", at="START_RUN").write(tmp_path)
    program = simulate(mmar, "-v")

    assert program.wait() == 1
    log = tmp_path / "ws" / "run_1" / "logs" / "components.log"
    what = r"RaisingHandler \(config/config_fed_server.json:\d+\) failed at START_RUN"
    assert re.search(f"{what}: ConnectionError: 503 Service Unavailable", program.stderr)
    assert f"the traceback is in {log}" in program.stderr
    assert 'raise ConnectionError("503 Service Unavailable")' in program.stderr


def test_a_handler_that_cannot_be_built_is_told_with_its_place(
    simulate: Callable[..., RunningProgram], tmp_path: Path
) -> None:
    """The hint was to look at its arguments, for a variable of the environment that was missing."""
    program = simulate(MmarBuilder().handler("RaisingHandler", at="").write(tmp_path), "-v")

    assert program.wait() == 1
    assert "handler 'RaisingHandler' cannot be built: KeyError: 'WEBHOOK_TOKEN'" in program.stderr
    assert re.search(r"hint: it is declared in config/config_fed_server.json:\d+; ", program.stderr)
    assert "plugins show" not in program.stderr
    assert 'raise KeyError("WEBHOOK_TOKEN")' in program.stderr
