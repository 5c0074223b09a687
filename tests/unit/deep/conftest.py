# SPDX-License-Identifier: Apache-2.0
"""MMARs whose networks are what their arguments say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mmar_runner.deep.check import look_deep
from mmar_runner.deep.options import DeepOptions
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.builders import MmarBuilder

PLUGINS = Path(__file__).parent / "plugins"
#: Two tensors, as arguments of the network.
TENSORS = {"w": ["F32", [4, 3]], "b": ["F32", [4]]}


def declared(**args):
    return {"name": "Stated", "args": args}


def job(made=TENSORS, trained=TENSORS, **trainer):
    """Return a builder of an MMAR whose server makes one network and whose clients train one."""
    return (
        MmarBuilder()
        .model_persistor("StatedPersistor", model=declared(**made))
        .trainer("StatedTrainer", **trainer)
        .json_file("config/config_train.json", {"train": {"model": declared(**trained)}})
    )


@pytest.fixture(scope="session")
def plugins():
    return load_plugins(plugins_dir=PLUGINS)


@pytest.fixture(scope="session")
def runner():
    with asyncio.Runner() as found:
        yield found


@pytest.fixture
def deeply(plugins, runner):
    """Return a function that checks an MMAR deeply."""

    def look(root, side="all", watcher=None, **options):
        checked = validate(root, plugins.registry, side=side)
        assert checked.report.errors == ()
        options = DeepOptions(plugins_dir=PLUGINS, **options)
        return look_deep(checked, plugins, options, runner, watcher)

    return look
