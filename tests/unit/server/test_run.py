# SPDX-License-Identifier: Apache-2.0
"""The end of a server whose run has ended: what it still waits for, and for how long."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.components import component_thread
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation

PLUGIN = """
import threading

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.handler import Handler
from mmar_runner.interfaces.result_processor import ResultProcessor

class Lasting(Handler):
    def handle_event(self, event):
        if event.type == "END_RUN":
            (event.run_folder / "told").touch()
            threading.Event().wait()

class Holding(ResultProcessor):
    def get_topics(self):
        return ["nothing"]

    def process(self, topic, result, context):
        return {}

    def close(self):
        threading.Event().wait()

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="handler", name="Lasting", target=":Lasting")
    registry.add(kind="result_processor", name="Holding", target=":Holding")
"""


@pytest.mark.parametrize(
    ("name", "thread", "who"),
    [
        ("Lasting", "events", "the handler Lasting at END_RUN"),
        ("Holding", "results", "the result processor Holding at its close"),
    ],
)
def test_a_component_that_never_returns_is_shown_and_a_stop_leaves_it_behind(
    name: str, thread: str, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody heard of the stop any more, nor of whom the server waited for."""
    monkeypatch.setattr(component_thread, "_LAST_SECONDS", 0.1)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "lasting.py").write_text(PLUGIN)
    builder = MmarBuilder().server(min_num_clients=1, num_rounds=1)
    declare = builder.handler if name == "Lasting" else builder.result_processor
    declare(name)
    with Federation(
        builder.write(tmp_path),
        workspace=tmp_path / "ws",
        clients=1,
        plugins=load_plugins(plugins_dir=plugins),
    ) as federation:
        federation.serve()
        joined = federation.join("site-1")
        assert joined.result(60).status == "finished"
        federation.server.wait_for(Topic.WAITING, message=f"{who} to return")
        facts = status(tmp_path / "ws" / "run_1" / "status.json", who)
        assert (facts["status"], facts["waiting_for"]) == ("finished", f"{who} to return")
        assert facts["since"] is not None
        assert (tmp_path / "ws" / "endpoint.json").exists(), "the status command finds it"
        assert federation.stop(timeout=15).status == "finished"
    assert thread in {thread.name for thread in threading.enumerate()}, "it was left behind"
    assert status(tmp_path / "ws" / "run_1" / "status.json", "")["waiting_for"] == ""


def status(path: Path, waits_for: str) -> dict[str, Any]:
    """Return a run's status once it names what is waited for."""
    deadline = time.monotonic() + 20
    facts: dict[str, Any] = json.loads(path.read_bytes())
    while waits_for not in facts["waiting_for"] and time.monotonic() < deadline:
        threading.Event().wait(0.05)
        facts = json.loads(path.read_bytes())
    return facts
