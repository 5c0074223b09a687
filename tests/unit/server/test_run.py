# SPDX-License-Identifier: Apache-2.0
"""A server that has nothing left to do but to wait for code that does not return."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.server import events
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation

PLUGIN = """
import threading

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.handler import Handler


class Lasting(Handler):
    def handle_event(self, event):
        if event.type == "END_RUN":
            (event.run_folder / "told").touch()
            threading.Event().wait(60)


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="handler", name="Lasting", target=":Lasting")
"""


def test_a_stop_ends_a_server_whose_handler_does_not_return_from_the_run_s_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody heard of the stop any more, and the last resort said that the run can go on."""
    monkeypatch.setattr(events, "_LAST_SECONDS", 0.1)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "lasting.py").write_text(PLUGIN)
    builder = MmarBuilder().handler("Lasting").server(min_num_clients=1, num_rounds=1)
    with Federation(
        builder.write(tmp_path),
        workspace=tmp_path / "ws",
        clients=1,
        plugins=load_plugins(plugins_dir=plugins),
    ) as federation:
        federation.serve()
        joined = federation.join("site-1")
        assert joined.result(60).status == "finished"
        with pytest.raises(TimeoutError):
            federation.wait(timeout=1)
        assert (tmp_path / "ws" / "run_1" / "told").exists()
        assert federation.stop(timeout=15).status == "finished"
    assert "events" in {thread.name for thread in threading.enumerate()}, "it was left behind"
