# SPDX-License-Identifier: Apache-2.0
"""Each rule that a site is given as an object, replaced by one that says yes.

The attack is refused with the honest object and goes through with the other: that it was
refused is this object's doing, and nobody else's.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmar_runner.admission import admitting
from mmar_runner.admission.rules import rules_of
from mmar_runner.errors import KitError, PackageError, SignatureError
from mmar_runner.hooks import load_plugins
from mmar_runner.security.identity import Role
from mmar_runner.security.kits import kit as kits
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.packages.packing import unpack
from mmar_runner.security.packages.sink import PackageLimits
from mmar_runner.security.pki import revocation
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations, sign_revocations

CLIENT = "config_fed_client.json"


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


class Desk:
    """Admits delivered folders at site-1 by rules that a test may replace."""

    def __init__(self, hospital, catalog) -> None:
        self._hospital = hospital
        self._catalog = catalog
        self._store = MmarStore(hospital.folder / "store")

    @property
    def rules(self):
        kit = load_kit(self._hospital.kit("site-1"), Role.CLIENT, now=datetime.now(UTC))
        return rules_of(kit)

    def reasons(self, root: Path, rules=None, *, now=None) -> list[str]:
        """Return why a folder may not run; nothing if it may."""
        terms = {"origin": "delivered", "now": now or datetime.now(UTC)}
        found = admitting.admit(root, self._catalog, rules or self.rules, self._store, **terms)
        assert found.decision.accepted is not bool(found.decision.refusals)
        return [step.reason for step in found.decision.refusals]


@pytest.fixture
def desk(hospital, catalog):
    return Desk(hospital, catalog)


def test_the_memory_of_versions(hospital, desk):
    mmar = hospital.mmar()
    hospital.sign(mmar, version=5)
    assert desk.reasons(mmar) == []
    hospital.sign(mmar, version=4)
    assert desk.reasons(mmar) == ["VERSION_ROLLBACK"]

    class Forgetful:
        def known(self):
            return {}

        def remember(self, *_args, **_facts):
            """Forget at once."""

    assert desk.reasons(mmar, replace(desk.rules, versions=Forgetful())) == []


@pytest.mark.parametrize("what", ["key_ids", "digests"])
def test_the_list_of_revocations(hospital, desk, what):
    mmar = hospital.mmar()
    honest = desk.rules
    signer = key_id(hospital.signer().key.public_key())
    revoked = {"key_ids": signer, "digests": hospital.digest(mmar)}[what]
    listed = replace(honest, revocations=replace(honest.revocations, **{what: (revoked,)}))
    assert set(desk.reasons(mmar, listed)) <= {"SIGNER_REVOKED", "DIGEST_REVOKED", "USER_MISSING"}
    assert desk.reasons(mmar, listed)
    assert desk.reasons(mmar, honest) == []


def test_the_clock_of_a_list_of_revocations(hospital, desk):
    """A server that withholds newer lists stops new MMARs, and no more."""
    mmar = hospital.mmar()
    honest = desk.rules
    old = replace(honest.revocations, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert desk.reasons(mmar, replace(honest, revocations=old)) == ["REVOCATIONS_STALE"]
    assert desk.reasons(mmar, honest) == []


def test_the_clock_of_a_signature(hospital, desk):
    mmar = hospital.mmar()
    rules = desk.rules
    far = replace(
        rules,
        revocations=replace(rules.revocations, expires=datetime.now(UTC) + timedelta(days=9999)),
    )
    late = datetime.now(UTC) + timedelta(days=5000)
    assert desk.reasons(mmar, far, now=late) == ["SIGNATURE_EXPIRED"]
    assert desk.reasons(mmar, far, now=datetime.now(UTC)) == []


def test_the_trust_root(hospital, other_project, desk):
    mmar = hospital.mmar(sign=False)
    other_project.sign(mmar)
    assert "SIGNER_NOT_TRUSTED" in desk.reasons(mmar)

    theirs = rules_of(load_kit(other_project.kit("site-1"), Role.CLIENT, now=datetime.now(UTC)))
    assert desk.reasons(mmar, replace(desk.rules, trust_root=theirs.trust_root)) == []


def test_the_audience(hospital, desk):
    mmar = hospital.mmar(sign=False)
    hospital.sign(mmar, audience=("site-3",))
    assert desk.reasons(mmar) == ["WRONG_AUDIENCE"]
    assert desk.reasons(mmar, replace(desk.rules, site="site-3")) == []


def test_the_projects_authorization(hospital, desk):
    """Without one everything is refused; one that lets code in lets it in."""
    mmar = hospital.mmar(code="custom/nets.py")
    hospital.policy("site-1", byoc="allow")
    rules = replace(desk.rules, site="site-2")
    assert desk.reasons(mmar, rules) == ["BYOC_NOT_ALLOWED"]
    assert "AUTHORIZATION_MISSING" in desk.reasons(mmar, replace(rules, authorization=None))
    assert desk.reasons(mmar, replace(rules, site="site-1")) == []


LAX = {
    "blocked_digest": ("DIGEST_BLOCKED", {"blocked_digests": ()}),
    "threshold": ("THRESHOLD", {"signatures": {"mmar": 1, "byoc": 1}}),
}


@pytest.mark.parametrize("name", LAX)
def test_the_sites_own_policy(hospital, desk, name):
    reason, lax = LAX[name]
    mmar = hospital.mmar()
    strict = {
        "blocked_digest": {"blocked_digests": [hospital.digest(mmar)]},
        "threshold": {"signatures": {"mmar": 2}},
    }[name]
    hospital.policy("site-1", **strict)
    assert reason in desk.reasons(mmar)
    rules = desk.rules
    assert desk.reasons(mmar, replace(rules, policy=replace(rules.policy, **lax))) == []


ARGUMENTS = {
    "path_argument": ("PATH_ARGUMENT", "/srv/data/list.json", {"data_folders": ("/srv/data",)}),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_rule_for_path_arguments(hospital, desk, name):
    reason, text, lax = ARGUMENTS[name]
    mmar = hospital.mmar(sign=False)
    path = mmar / "config" / CLIENT
    value = json.loads(path.read_text())
    value["client_trainer"]["args"]["behaviour"] = text
    path.write_text(json.dumps(value))
    hospital.sign(mmar)
    assert reason in desk.reasons(mmar)
    rules = desk.rules
    assert desk.reasons(mmar, replace(rules, policy=replace(rules.policy, **lax))) == []


@pytest.mark.parametrize("lax", [{"entries": 99}, {"file_bytes": 1 << 20}], ids=str)
def test_the_limits_of_a_package(tmp_path, lax):
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(20):
            file.writestr(f"f{number}.json", bytes(1000))
    strict = dict.fromkeys(lax, 10)
    with pytest.raises(PackageError) as caught:
        unpack(archive, tmp_path / "out", PackageLimits(**strict))
    assert caught.value.reason == "TOO_LARGE"
    assert not (tmp_path / "out").exists()
    unpack(archive, tmp_path / "out", PackageLimits(**lax))
    assert len(list((tmp_path / "out").iterdir())) == 20


def test_the_memory_of_revocations(hospital, provisioned, monkeypatch):
    """Whoever gives an older list does not take a revocation back."""
    kit = load_kit(hospital.kit("site-1"), Role.CLIENT, now=datetime.now(UTC))
    authority = load_private_key(provisioned / "kits" / "authority" / "root.key")
    root = kit.root_file.read_bytes()
    own = read_revocations(kit.revocations.read_bytes(), root)
    memory = kit.revocation_memory()
    memory.offer(sign_revocations(replace(own, version=9, serials=("77",)), authority))
    older = sign_revocations(replace(own, version=8), authority)
    with pytest.raises(SignatureError) as caught:
        memory.offer(older)
    assert caught.value.reason == "VERSION_ROLLBACK"
    assert memory.current.revokes_certificate("77")

    forged = sign_revocations(replace(own, version=99), load_private_key(kit.key_file))
    with pytest.raises(SignatureError):
        memory.offer(forged)
    monkeypatch.setattr(revocation, "open_signed", lambda data, *_a, **_k: _payload(data))
    assert memory.offer(forged)
    assert not memory.current.revokes_certificate("77")


def _payload(data: bytes) -> bytes:
    from mmar_runner.security.pki.envelope import read_envelope

    return read_envelope(data).payload


GUARDS = {
    "check_keys": ("KIT_AUTHORITY_KEY", "authority"),
    "check_owned": ("KIT_WRITABLE", "writable"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_the_checks_of_a_kit(hospital, monkeypatch, guard):
    reason, spoil = GUARDS[guard]
    folder = hospital.kit("site-1")
    load_kit(folder, Role.CLIENT, now=datetime.now(UTC))
    if spoil == "authority":
        key = (hospital.kits.out / "authority" / "root.key").read_bytes()
        (folder / "notes.txt").write_bytes(key)
        (folder / "notes.txt").chmod(0o600)
    else:
        policy = hospital.policy("site-1", byoc="refuse")
        policy.chmod(0o666)
    with pytest.raises(KitError) as caught:
        load_kit(folder, Role.CLIENT, now=datetime.now(UTC))
    assert caught.value.reason == reason
    monkeypatch.setattr(kits, guard, lambda *_: None)
    load_kit(folder, Role.CLIENT, now=datetime.now(UTC))


def test_the_copy_that_is_looked_at(hospital, desk, monkeypatch):
    """What changes in the folder while it is looked at is not what runs."""
    mmar = hospital.mmar()
    store = MmarStore(hospital.folder / "store")

    class Careless(MmarStore):
        """Hands out the folder itself instead of a copy."""

        def keep(self, staged, digest):
            super().keep(staged, digest)
            return mmar

    def run(kept: MmarStore) -> bytes:
        root = kept.keep(kept.stage("echo", {"x": lambda: io.BytesIO(b"honest")}), "0" * 64)
        (mmar / "x").write_bytes(b"evil!!")
        return (root / "x").read_bytes()

    assert run(store) == b"honest"
    assert run(Careless(hospital.folder / "store")) == b"evil!!"
