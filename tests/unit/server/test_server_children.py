# SPDX-License-Identifier: Apache-2.0
"""Other children of the server: a validator that hangs, a persistor that makes no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmar_runner.errors import TaskFailedError, TaskTimeoutError
from mmar_runner.testing.builders import MmarBuilder, component
from mmar_runner.testing.federation import Federation

PLUGINS = Path(__file__).parent / "filters_plugins"


def ran(builder, folder, **more):
    mmar, workspace = builder.write(folder), folder / "ws"
    with Federation(mmar, workspace=workspace, plugins_dir=PLUGINS, **more) as federation:
        return federation.run(), workspace / "run_1"


def test_a_validator_that_never_returns_is_ended_and_loses_no_update(tmp_path):
    builder = MmarBuilder().top_level(model_validator=component("Waiting"), validate_every=1)
    outcome, run = ran(builder, tmp_path, task_timeout=5.0)
    assert outcome.status == "failed"
    assert "the model validator Waiting (config/config_fed_server.json:" in outcome.reason
    assert "validate did not end within 5 seconds; its process was killed" in outcome.reason
    assert (run / "events.jsonl").read_text().count("update_accepted") == 2


@pytest.mark.parametrize("what", ["fifo", "link", "folder", "shorter"])
def test_a_persistor_that_leaves_no_model_is_named(tmp_path, what):
    builder = MmarBuilder().model_persistor("LeavingPersistor", what=what)
    with pytest.raises(TaskFailedError, match="the model persistor LeavingPersistor"):
        ran(builder, tmp_path)


@pytest.mark.parametrize(("what", "asked"), [("hangs", "initial_model"), ("hangs later", "export")])
def test_a_persistor_that_never_returns_is_ended_and_named(tmp_path, what, asked):
    builder = MmarBuilder().model_persistor("LeavingPersistor", what=what)
    with pytest.raises(TaskTimeoutError) as raised:
        ran(builder, tmp_path, task_timeout=6.0)
    named = "the model persistor LeavingPersistor (config/config_fed_server.json:"
    assert raised.value.message.startswith(named)
    assert f"{asked} did not end within 6 seconds" in raised.value.message
    assert "--task-timeout" in raised.value.hint
