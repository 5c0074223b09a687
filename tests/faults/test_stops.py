# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends a server or a client in ten seconds, whatever it is doing, and loses nothing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningProgram, RunningServer, free_port
from tests.faults.proxy import Proxy
from tests.faults.weather import Weather

LIMIT = 10.0
STOPPED = 3
NAMES = ("site-1", "site-2")

PLUGIN = """
import signal
import subprocess
import threading
from pathlib import Path

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.client_trainer import ClientTrainer
from mmar_runner.interfaces.handler import Handler
from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner_fedavg.fedavg import FedAvg


class SlowMean(FedAvg):
    def __init__(self, marker, seconds=None):
        super().__init__()
        self._marker = Path(marker)
        self._seconds = seconds

    def fold(self, accumulator, name, tensor, weight):
        super().fold(accumulator, name, tensor, weight)
        if not self._marker.exists():
            self._marker.with_name("folding").touch()
            threading.Event().wait(self._seconds)


class Blocking(Handler):
    def handle_event(self, event):
        if event.type == "ROUND_STARTED":
            threading.Event().wait()


class Judge(ModelValidator):
    def validate(self, model):
        (Path(model).parents[1] / "judging").touch()
        threading.Event().wait()


class Stubborn(ClientTrainer):
    def train(self, task):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"])
        (task.update.parent / "grandchild").write_text(str(child.pid))
        while True:
            threading.Event().wait(1)


@hookimpl
def mmar_register_components(registry):
    arguments = {
        "type": "object",
        "properties": {"marker": {"type": "string"}, "seconds": {"type": "number"}},
    }
    registry.add(kind="aggregator", name="SlowMean", target=":SlowMean", args_schema=arguments)
    registry.add(kind="model_validator", name="Judge", target=":Judge")
    registry.add(kind="handler", name="Blocking", target=":Blocking")
    registry.add(kind="client_trainer", name="Stubborn", target=":Stubborn")
"""


@pytest.fixture
def plugins(tmp_path: Path) -> tuple[str, str]:
    """The options that install the components above."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "slow.py").write_text(PLUGIN)
    return ("--plugins-dir", str(folder))


def until(holds: Callable[[], object], program: RunningProgram) -> None:
    deadline, pause = time.monotonic() + 60, threading.Event()
    while not holds():
        assert program.process.poll() is None, program.stdout + program.stderr
        assert time.monotonic() < deadline, program.stdout + program.stderr
        pause.wait(0.02)


def stopped_in_time(program: RunningProgram) -> float:
    """Stop a program, see that it ends as it should, and return how long it took."""
    began = time.monotonic()
    program.terminate()
    assert program.wait() == STOPPED, program.stdout + program.stderr
    took = time.monotonic() - began
    assert took < LIMIT
    assert "Traceback" not in program.stderr + program.stdout
    return took


def test_in_the_middle_of_an_aggregation(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    fast = tmp_path / "fast"
    mmar = (
        MmarBuilder()
        .server(num_rounds=2)
        .aggregator("SlowMean", marker=str(fast), seconds=0.05)
        .model_persistor("EchoModelPersistor", size_mb=64)
        .write(tmp_path)
    )
    listen = f"127.0.0.1:{free_port()}"
    serve = partial(RunningServer, mmar, tmp_path / "ws", *plugins, listen=listen)
    server = stack.enter_context(serve())
    server.address()
    clients = [
        stack.enter_context(RunningClient(mmar, listen, name, tmp_path / "c")) for name in NAMES
    ]
    models = tmp_path / "ws" / "run_1" / "models"
    temporary = models / ".round_0001.safetensors.tmp"
    until(lambda: temporary.exists() and temporary.stat().st_size > 4 << 20, server)
    # What is left takes longer than the limit; it is given up at the next block.
    assert stopped_in_time(server) < LIMIT / 2
    assert sorted(path.name for path in models.iterdir()) == ["round_0000.safetensors"]
    fast.touch()
    again = stack.enter_context(serve())
    assert again.wait() == 0, again.stdout + again.stderr
    assert [client.wait() for client in clients] == [0, 0]
    trained = [len(client.observations(Topic.TRAINING, round=0)) for client in clients]
    assert trained == [1, 1], "the updates were there: the round was aggregated again from them"


def test_with_an_aggregator_that_never_returns(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    """A thread cannot be ended; what it would leave undone, the resumed run does."""
    mmar = MmarBuilder().aggregator("SlowMean", marker=str(tmp_path / "no")).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws", *plugins))
    address = server.address()
    clients = [
        stack.enter_context(RunningClient(mmar, address, name, tmp_path / "c")) for name in NAMES
    ]
    for client in clients:
        client.wait_for(Topic.SUBMITTED)
    until((tmp_path / "folding").exists, server)
    assert stopped_in_time(server) > LIMIT / 2
    assert "stopping in order took longer than 9 s: leaving at once" in server.stderr


def test_with_a_validation_that_never_ends(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    judge = {"name": "Judge", "args": {}}
    mmar = MmarBuilder().top_level(model_validator=judge, validate_every=1).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws", *plugins))
    address = server.address()
    for name in NAMES:
        stack.enter_context(RunningClient(mmar, address, name, tmp_path / "c"))
    until((tmp_path / "ws" / "run_1" / "judging").exists, server)
    assert stopped_in_time(server) < LIMIT / 2
    assert server.summary()["rounds"] == [], "the round is done again when the run is resumed"


def test_with_a_handler_that_never_returns(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    mmar = MmarBuilder().handler("Blocking").trainer("EchoTrainer", seconds=60).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws", *plugins))
    address = server.address()
    for name in NAMES:
        stack.enter_context(RunningClient(mmar, address, name, tmp_path / "c"))
    server.wait_for(Topic.ROUND_STARTED)
    stopped_in_time(server)
    assert "the handler Blocking at ROUND_STARTED has not returned" in server.stderr
    assert server.summary()["status"] == "stopped"
    (failed,) = server.summary()["components_failed"]
    assert failed["component"].startswith("the handler Blocking (config/config_fed_server.json:")
    assert (failed["event"], failed["first_round"]) == ("ROUND_STARTED", 0)
    assert "has not returned" in failed["message"]


def test_a_second_signal_ends_it_at_once(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    mmar = MmarBuilder().handler("Blocking").trainer("EchoTrainer", seconds=60).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws", *plugins))
    address = server.address()
    for name in NAMES:
        stack.enter_context(RunningClient(mmar, address, name, tmp_path / "c"))
    server.wait_for(Topic.ROUND_STARTED)
    server.terminate()
    server.wait_for(Topic.RUN_ENDED)  # now it waits for the handler, for a while
    server.terminate()
    assert server.wait() == -signal.SIGTERM


def test_with_a_trainer_that_ignores_it(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    mmar = MmarBuilder().trainer("Stubborn").server(min_num_clients=1).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws", *plugins))
    client = stack.enter_context(
        RunningClient(mmar, server.address(), "site-1", tmp_path / "c", *plugins)
    )
    note = tmp_path / "c" / "site-1" / "run_1" / "grandchild"
    until(lambda: note.exists() and note.read_text(), client)
    assert stopped_in_time(client) < LIMIT / 2
    status = Path("/proc") / note.read_text() / "stat"
    until(lambda: not status.exists() or " Z " in status.read_text(), server)
    server.wait_for(Topic.CLIENT_LEFT, client="site-1")
    assert stopped_in_time(server) < LIMIT / 2


def test_a_client_in_the_middle_of_an_upload_over_a_slow_line(
    tmp_path: Path, stack: ExitStack
) -> None:
    mmar = (
        MmarBuilder()
        .server(min_num_clients=1, num_rounds=1)
        .model_persistor("EchoModelPersistor", size_mb=4)
        .write(tmp_path)
    )
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws"))
    line = stack.enter_context(Proxy(server.address(), Weather(rate_up=512 << 10, slice=16 << 10)))
    client = stack.enter_context(RunningClient(mmar, line.address, "site-1", tmp_path / "c"))
    updates = tmp_path / "ws" / "run_1" / "updates"
    until(lambda: any(part.stat().st_size for part in updates.glob("*/*.part")), client)
    assert stopped_in_time(client) < LIMIT
    again = RunningClient(mmar, server.address(), "site-1", tmp_path / "c")
    stack.enter_context(again)
    assert server.wait() == 0, server.stderr
    assert not again.observations(Topic.TRAINING), "the update was there: only the rest was sent"


def test_before_the_run_has_begun(
    tmp_path: Path, stack: ExitStack, plugins: tuple[str, str]
) -> None:
    """The child that makes the first model may take its time."""
    mmar = MmarBuilder().model_persistor("EchoModelPersistor", size_mb=2000).write(tmp_path)
    server = stack.enter_context(RunningServer(mmar, tmp_path / "ws"))
    until(lambda: any((tmp_path / "ws").glob("run_1/models/*")), server)
    assert stopped_in_time(server) < LIMIT / 2
