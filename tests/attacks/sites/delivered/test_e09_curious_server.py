# SPDX-License-Identifier: Apache-2.0
"""E09: a curious server deploys an MMAR that would undo the site's own filter."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load

PLUGIN = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.filter import Filter

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="filter", name="Blank", target=":Blank",
                 args_schema={"properties": {"tensor": {"type": "string"}}})
    registry.add(kind="filter", name="Increment", target=":Increment")

class Blank(Filter):
    def __init__(self, tensor):
        self._tensor = tensor
    def apply(self, name, tensor):
        return tensor * 0 if name == self._tensor else tensor

class Increment(Filter):
    def apply(self, name, tensor):
        return tensor + 1
"""
SECRET = "layer/secret"
BLANK = {"name": "Blank", "args": {"tensor": SECRET}}
TRICKS = {
    "declares_none": [],
    "declares_it_first": [BLANK, {"name": "Increment"}],
    "switches_it_off": [{**BLANK, "disabled": True}, {"name": "Increment"}],
    "aims_it_elsewhere": [{"name": "Blank", "args": {"tensor": "layer/weight"}}],
}


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    """Install the filters at the site, as a distribution."""
    folder = tmp_path / "site-packages"
    info = folder / "site_filters-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "site_filters_under_attack.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-filters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mmar_runner]\nsite = site_filters_under_attack\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def update(delivered):
    """Return what the curious server was sent last: all that it can ever see."""
    return load(bytes(delivered.lies.updates[-1].inline))


@pytest.mark.parametrize("trick", TRICKS)
def test_e09_the_sites_filter_runs_last_whatever_an_mmar_declares(hospital, delivered, trick):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / "config_fed_client.json"
    value = json.loads(path.read_text())
    value["client"]["outbound_filters"] = TRICKS[trick]
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    hospital.policy("site-1", mandatory_filters={"outbound": [BLANK]})
    delivered.sent(mmar)
    delivered.works()
    assert np.array_equal(update(delivered)[SECRET], np.zeros(64, np.float32))


def test_e09_without_the_sites_filter_the_tensor_would_leave(hospital, delivered):
    delivered.sent(hospital.mmar())
    delivered.works()
    assert update(delivered)[SECRET].any()
