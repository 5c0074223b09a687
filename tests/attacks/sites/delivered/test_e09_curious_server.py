# SPDX-License-Identifier: Apache-2.0
"""E09: a curious server deploys an MMAR that would undo the site's own filter."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load

from tests.distributions import install_site_filters

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
    install_site_filters(tmp_path / "site-packages")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))


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
