# SPDX-License-Identifier: Apache-2.0
"""Code, classes and arguments in an MMAR that a site did not accept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.sites.explaining import CLIENT

HIDDEN = [
    "config/x.py",
    "config/x.json.py",
    "resources/x.pth",
    "resources/x.so",
    "config/__pycache__/x.cpython-311.pyc",
    "sitecustomize.py",
    "conftest.py",
    "docs/work.ipynb",
    "resources/run",
    "models/x.py",
    "Custom/x.py",
    "CUSTOM/x.PY",
    ".hidden/x.py",
    "custom/data.json",
    "resources/x.pkl",
    "resources/x.zip",
    "resources/x.json ",
    "resources/.json",
]


@pytest.mark.parametrize("file", HIDDEN, ids=ascii)
def test_d05_code_wherever_it_hides_needs_the_sites_consent(hospital, file):
    mmar = hospital.mmar(sign=False)
    hospital.plant(mmar, file)
    hospital.sign(mmar)
    error = hospital.refused("site-1", mmar, "BYOC_NOT_ALLOWED")
    assert "code" in error["message"]


def test_d05_the_same_code_runs_where_the_site_accepted_its_digest(hospital):
    mmar = hospital.mmar(code="custom/nets.py")
    hospital.refused("site-1", mmar, "BYOC_NOT_ALLOWED")
    hospital.policy("site-1", byoc="digest", accepted_digests=[hospital.digest(mmar)])
    hospital.accepted("site-1", mmar)


def trainer(**declaration: object) -> dict[str, object]:
    return {"client_trainer": declaration}


CLASSES = ["os.system", "subprocess.Popen", "builtins.eval", "importlib.import_module"]


@pytest.mark.parametrize("dotted", CLASSES)
def test_d06_a_component_that_is_no_component_is_refused(hospital, dotted):
    mmar = hospital.mmar(sign=False)
    hospital.edit(mmar, CLIENT, **trainer(path=dotted, args={"command": "true"}))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "COMPONENT_NOT_ALLOWED")


def test_d06_a_class_that_is_not_allowed_is_not_even_imported(hospital, monkeypatch):
    """It lies where Python finds it; importing it makes the canary."""
    elsewhere = hospital.folder / "elsewhere"
    hospital.plant(elsewhere, "canary_of_d06.py")
    with (elsewhere / "canary_of_d06.py").open("a") as module:
        module.write("class Trainer: ...\n")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    mmar = hospital.mmar(sign=False)
    hospital.edit(mmar, CLIENT, **trainer(path="canary_of_d06.Trainer"))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "COMPONENT_NOT_ALLOWED")  # and there is no canary

    subprocess.run([sys.executable, "-c", "import canary_of_d06"], check=True)
    assert hospital.canary.exists()


def nested(kind: str) -> object:
    bad = {"path": "os.system", "args": {}}
    return {
        "list": [[{"deep": [bad]}]],
        "dict_of_dicts": {"a": {"b": {"c": bad}}},
        "deep": {"x": [{"y": {"z": [{"inner": bad}]}}]},
    }[kind]


@pytest.mark.parametrize("kind", ["list", "dict_of_dicts", "deep"])
@pytest.mark.parametrize("where", ["args", "filters"])
def test_d08_a_bad_component_is_refused_at_any_depth_and_its_place_is_named(hospital, kind, where):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    value = json.loads(path.read_text())
    if where == "args":
        value["client_trainer"]["args"]["loss"] = nested(kind)
    else:
        value["client"]["outbound_filters"] = [{"name": "Any", "args": {"x": nested(kind)}}]
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "COMPONENT_NOT_ALLOWED")
    answer = explained(hospital, mmar)
    (bad,) = [one for one in answer["steps"] if one["reason"] == "COMPONENT_NOT_ALLOWED"]
    assert bad["subject"]["file"] == f"config/{CLIENT}"
    assert bad["subject"]["pointer"].endswith("/path")


def explained(hospital, mmar: Path, site: str = "site-1") -> dict:
    ended = hospital.command("policy", "explain", mmar, "--kit", hospital.kit(site), "--json")
    return ended.answer


ARGUMENTS = ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "https://evil.org/x", "~/x"]


@pytest.mark.parametrize("text", ARGUMENTS)
def test_d09_an_argument_that_leads_out_is_refused(hospital, text):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    value = json.loads(path.read_text())
    value["client_trainer"]["args"]["behaviour"] = text
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "PATH_ARGUMENT")


@pytest.mark.parametrize("value", [1e12, "lambda x: __import__('os').system('id')"])
def test_d09_an_argument_of_the_wrong_kind_is_refused_and_never_evaluated(hospital, value):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    config = json.loads(path.read_text())
    config["client_trainer"]["args"]["behaviour"] = value
    path.write_text(json.dumps(config))
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "MMAR_INVALID")
