# SPDX-License-Identifier: Apache-2.0
"""What finds code, data lists and hostile arguments, replaced: then a strict site runs them.

A policy refuses what was found. Where nothing is found, it has nothing to refuse.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmar_runner.admission import admitting
from mmar_runner.admission.rules import rules_of
from mmar_runner.errors import MmarError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar import manifest
from mmar_runner.mmar.checks import facts
from mmar_runner.mmar.checks import files as checks_files
from mmar_runner.mmar.code import byoc
from mmar_runner.mmar.sources import site_text
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.listing import FileKind
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.pki.envelope import read_envelope, sign
from mmar_runner.security.signatures import check
from mmar_runner.security.signatures.manifest import MMAR_TYPE

SAMPLES = json.dumps({"training": [{"image": "a.nii.gz", "label": 1}]})


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


@pytest.fixture
def rules(hospital):
    """Return what site-1 judges by."""
    return rules_of(load_kit(hospital.kit("site-1"), Role.CLIENT, now=datetime.now(UTC)))


@pytest.fixture
def strict(rules):
    """Return what site-2 judges by, where neither code nor data lists may run."""
    return replace(rules, site="site-2")


@pytest.fixture
def reasons(hospital, catalog):
    """Say why a delivered folder may not run; nothing if it may."""

    def judged(root, by):
        store = MmarStore(hospital.folder / "store")
        found = admitting.admit(root, catalog, by, store, origin="delivered", now=datetime.now(UTC))
        return {step.reason for step in found.decision.refusals}

    return judged


def test_d05_hidden_code(hospital, strict, reasons, monkeypatch):
    mmar = hospital.mmar(code="resources/.cache/nets.bin")
    assert reasons(mmar, strict) == {"BYOC_NOT_ALLOWED"}
    monkeypatch.setattr(byoc, "is_data", lambda file: True)
    assert reasons(mmar, strict) == set()


def test_d05_code_where_it_belongs(hospital, strict, reasons, monkeypatch):
    mmar = hospital.mmar(code="custom/nets.py")
    assert reasons(mmar, strict) == {"BYOC_NOT_ALLOWED"}
    for module in (byoc, manifest):
        monkeypatch.setattr(module, "kind_of", lambda file: FileKind.DATA)
    assert reasons(mmar, strict) == set()


@pytest.mark.parametrize("guard", ["may_list", "lists_samples"])
def test_a_data_list_by_another_name(hospital, strict, reasons, monkeypatch, guard):
    mmar = hospital.mmar(sign=False)
    (mmar / "resources" / "notes.txt").write_text(SAMPLES)
    hospital.sign(mmar)
    assert reasons(mmar, strict) == {"DATALIST_NOT_ALLOWED"}
    monkeypatch.setattr(checks_files, guard, lambda *_: False)
    assert reasons(mmar, strict) == set()


@pytest.mark.parametrize(
    ("module", "guard", "blind"),
    [(site_text, "leaves_folder", False), (facts, "outside_arguments", ())],
)
def test_d09_an_argument_that_climbs(hospital, rules, reasons, monkeypatch, module, guard, blind):
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / "config_fed_client.json"
    value = json.loads(path.read_text())
    value["client_trainer"]["args"]["behaviour"] = "../../etc/passwd"
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    assert "PATH_ARGUMENT" in reasons(mmar, rules)
    monkeypatch.setattr(module, guard, lambda *_: blind)
    assert reasons(mmar, rules) == set()


def test_d12_what_was_signed_as_something_else(hospital, rules, reasons, monkeypatch):
    """A key that signs for two purposes is not made to say one thing by the other."""
    mmar = hospital.mmar()
    path = mmar / "signature.json"
    signed = read_envelope(path.read_bytes())
    path.write_bytes(sign("text/plain", signed.payload, [hospital.signer().key]).to_json())
    assert reasons(mmar, rules) == {"TYPE", "USER_MISSING"}

    honest = check.verify
    monkeypatch.setattr(check, "verify", lambda e, _type, keys: honest(e, e.payload_type, keys))
    assert reasons(mmar, rules) == set()


def test_d13_signed_for_another_project(hospital, rules, reasons):
    mmar = hospital.mmar()
    path = mmar / "signature.json"
    said = {**json.loads(read_envelope(path.read_bytes()).payload), "project": "lung"}
    path.write_bytes(sign(MMAR_TYPE, json.dumps(said).encode(), [hospital.signer().key]).to_json())
    assert reasons(mmar, rules) == {"WRONG_PROJECT"}
    lung = replace(rules.trust_root, project="lung")
    assert reasons(mmar, replace(rules, trust_root=lung)) == set()


def test_d10_a_link_in_a_folder(hospital, rules, reasons, monkeypatch):
    """Whoever does not see a link runs the rest as if it were all."""
    mmar = hospital.mmar()
    (mmar / "resources" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(MmarError) as caught:
        reasons(mmar, rules)
    assert caught.value.reason == "UNSAFE_ENTRY"

    honest = admitting.open_folder

    def blind(*arguments):
        folder = honest(*arguments)
        folder.unlisted.clear()
        return folder

    monkeypatch.setattr(admitting, "open_folder", blind)
    assert reasons(mmar, rules) == set()
