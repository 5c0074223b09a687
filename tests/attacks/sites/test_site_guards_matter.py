# SPDX-License-Identifier: Apache-2.0
"""Each guard of a site is replaced in this process, and its attack then goes through.

A suite whose attacks fail for another reason than the guard proves nothing. Nothing that
ships can switch a guard off: the replacements are made here, by hand.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmar_runner.admission import admitting, examination
from mmar_runner.admission.rules import rules_of
from mmar_runner.errors import PackageError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar import validation
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.packages import mmar_store
from mmar_runner.security.packages import names as package_names
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.packages.packing import unpack
from mmar_runner.security.signatures.check import SignatureReport
from mmar_runner.security.steps import accepts


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


@pytest.fixture
def admit(hospital, catalog):
    """Admit a delivered folder at site-1, and say whether it may run."""

    def call(root: Path):
        rules = rules_of(load_kit(hospital.kit("site-1"), Role.CLIENT, now=datetime.now(UTC)))
        store = MmarStore(hospital.folder / "store")
        terms = {"origin": "delivered", "now": datetime.now(UTC)}
        return admitting.admit(root, catalog, rules, store, **terms).decision

    return call


def test_without_the_signature_check_an_altered_mmar_runs(hospital, admit, monkeypatch):
    mmar = hospital.mmar()
    assert admit(mmar).accepted
    hospital.edit(mmar, "environment.json", NOISE=0.5)
    assert [one.reason for one in admit(mmar).refusals] == ["MANIFEST_MISMATCH"]

    honest = examination.check_signatures

    def blind(listing, envelope, context, **more):
        owners = honest(listing, envelope, context, **more).owners
        return SignatureReport((accepts("signature.files", "whatever it is"),), owners)

    monkeypatch.setattr(examination, "check_signatures", blind)
    assert admit(mmar).accepted


def test_without_the_judge_code_that_nobody_accepted_runs(hospital, admit, monkeypatch):
    mmar = hospital.mmar(code="custom/nets.py")
    assert [one.reason for one in admit(mmar).refusals] == ["BYOC_NOT_ALLOWED"]

    honest = examination.judge
    monkeypatch.setattr(examination, "judge", lambda r, p: replace(honest(r, p), steps=()))
    assert admit(mmar).accepted


def test_without_looking_for_commands_one_that_nobody_accepted_is_let_in(
    hospital, admit, monkeypatch
):
    """And its process starts nothing all the same: see `tests/unit/plugins_entry_points`."""
    mmar = hospital.mmar(sign=False)
    args = {"train": {"command": ["sh", "-c", f"touch {hospital.canary}"]}}
    trainer = {"name": "EntryPointTrainer", "args": args}
    hospital.edit(mmar, "config_fed_client.json", client_trainer=trainer)
    hospital.sign(mmar)
    assert [one.reason for one in admit(mmar).refusals] == ["BYOC_NOT_ALLOWED"]

    honest = validation.gather_facts
    monkeypatch.setattr(validation, "gather_facts", lambda *a: replace(honest(*a), commands=()))
    assert "BYOC_NOT_ALLOWED" not in [one.reason for one in admit(mmar).refusals]


def test_without_comparing_an_altered_entry_of_the_store_is_used(hospital, monkeypatch):
    store = MmarStore(hospital.folder / "store")

    def kept() -> Path:
        copied = store.stage("echo", {"x": lambda: io.BytesIO(b"honest")})
        return store.keep(copied, "0" * 64)

    root = kept()
    for attack in (True, False):
        root.chmod(0o755)
        (root / "x").chmod(0o644)
        (root / "x").write_bytes(b"evil!!")
        if attack:
            assert (kept() / "x").read_bytes() == b"honest"
    monkeypatch.setattr(mmar_store, "same_files", lambda one, other: True)
    assert (kept() / "x").read_bytes() == b"evil!!"


def test_without_the_rules_for_names_a_package_writes_elsewhere(tmp_path, monkeypatch):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../evil", b"evil")
    (tmp_path / "a" / "b").mkdir(parents=True)
    target = tmp_path / "a" / "b" / "out"
    with pytest.raises(PackageError) as caught:
        unpack(archive, target)
    assert caught.value.reason == "UNSAFE_PATH"
    assert not list(tmp_path.rglob("evil"))

    monkeypatch.setattr(package_names.Names, "file", lambda self, name: None)
    unpack(archive, target)
    assert [path.read_bytes() for path in tmp_path.rglob("evil")] == [b"evil"]
