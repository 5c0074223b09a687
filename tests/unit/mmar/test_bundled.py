# SPDX-License-Identifier: Apache-2.0
"""What is said of a component of a bundled plugin that is not installed."""

from __future__ import annotations

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.components import bundled
from mmar_runner.mmar.components.bundled import BUNDLED, bundled_hint


def test_the_table_is_what_the_bundled_plugins_register() -> None:
    listed = {
        (kind, name, f"mmar-runner-{folder.rpartition('/')[2].replace('_', '-')}")
        for kind, folders in BUNDLED.items()
        for folder, names in folders.items()
        for name in names
    }
    loaded = load_plugins(allow=sorted({distribution for *_, distribution in listed}))
    assert not loaded.failures
    registered = {
        (d.kind, d.name, d.distribution)
        for d in loaded.registry.descriptions()
        if d.distribution != "mmar-runner"
    }
    assert listed == registered


@pytest.mark.parametrize(
    ("where", "found", "plugin"),
    [
        (("client", "client_trainer"), {"name": "TorchTrainer"}, "trainers/torch"),
        (("server", "model_persistor"), {"name": "PTFileModelPersistor"}, "trainers/torch"),
        (("server", "aggregator"), {"path": "torch.nn.Linear"}, ""),
        (("train", "optimizer"), {"name": "SGD"}, "trainers/torch"),
        (("train", "model"), {"path": "torch.nn.Linear"}, "trainers/torch"),
    ],
)
def test_the_plugin_to_install_is_named(mmar, monkeypatch, where, found, plugin) -> None:
    monkeypatch.setattr(bundled, "is_module", lambda _dotted: False)
    document = {"server": mmar.server, "client": mmar.client, "train": mmar.train["train"]}
    document[where[0]][where[1]] = found
    (hint,) = {f.hint for f in mmar.findings() if f.code in {"MMAR501", "MMAR503"}}
    name = plugin.rpartition("/")[2]
    said = f"It is in the bundled plugin mmar-runner-{name}: install it (plugins/{plugin} of"
    assert hint.startswith(said) if plugin else "bundled" not in hint


def test_one_that_is_installed_and_not_loaded_is_not_to_be_installed() -> None:
    hint = bundled_hint(ComponentKind.CLIENT_TRAINER, "TorchTrainer")
    assert "mmar-runner-torch, which is installed and not loaded" in (hint or "")
