# SPDX-License-Identifier: Apache-2.0
"""A participant whose keys were stolen comes back under the same name."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.errors import CertificateError, KitError, UsageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations
from mmar_runner.security.provisioning.calls import (
    provision,
    renew_keys,
    revoke,
    sign_request,
)
from mmar_runner.security.provisioning.own_keys import make_own_keys
from mmar_runner.security.provisioning.revocation_issue import ToRevoke
from mmar_runner.testing.kits import Kits
from tests.unit.security.provisioning.power_cut import PowerCut, cut_at

LEAD = "lead@example.org"
ROLES = {"localhost": Role.SERVER, LEAD: Role.ADMIN}
SITE_2 = Identity("demo", Role.CLIENT, "site-2")


def now():
    return datetime.now(UTC)


def load(kits, name, out=None):
    return load_kit((out or kits.out) / name, ROLES.get(name, Role.CLIENT), now=now())


def rekey(kits, *names):
    return renew_keys(kits.project_file, kits.out, names, now=now())


def change(done, name):
    return next(outcome.change for outcome in done.outcomes if outcome.name == name)


def revocations(kits, name):
    root = (kits.out / "authority" / "rootCA.pem").read_bytes()
    return read_revocations((kits.out / name / "revocations.json").read_bytes(), root)


@pytest.mark.parametrize("name", ["site-1", "localhost", LEAD])
@pytest.mark.parametrize("revoked", [False, True], ids=["in-force", "revoked"])
def test_new_keys_revoke_the_old_ones_in_every_kit(kits, name, revoked):
    old = load(kits, name)
    keys = {path: path.read_bytes() for path in (kits.out / name).glob("*.key")}
    if revoked:
        revoke(kits.project_file, kits.out, ToRevoke((name,)), now=now())
    done = rekey(kits, name)
    new = load(kits, name)

    assert change(done, name) == "rekeyed"
    assert new.identity == old.identity
    assert all(path.read_bytes() != was for path, was in keys.items())
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert not list((kits.out / name).glob("*.next"))
    for other in ("site-1", "site-2", "localhost", LEAD):
        found = revocations(kits, other)
        assert found.version == done.revocations == 2
        assert found.revokes_certificate(old.certificate.serial)
        assert not found.revokes_certificate(new.certificate.serial)
        if name == LEAD:
            assert found.revokes_key(old.trust_root.release_keys[0].id)
            assert load(kits, other).trust_root.release_keys == new.trust_root.release_keys
    if name == LEAD:
        own = key_id(load_private_key(kits.out / LEAD / "release.key").public_key())
        assert [key.id for key in new.trust_root.release_keys] == [own]
        assert not found.revokes_key(own)


def test_policy_and_memory_of_the_site_stay(kits):
    folder = load(kits, "site-1").folder
    (folder / "site_policy.json").write_text('{"version": 1, "byoc": "allow"}')
    (folder / "state" / "versions.json").write_text("{}")
    rekey(kits, "site-1")

    assert "allow" in (folder / "site_policy.json").read_text()
    assert (folder / "state" / "versions.json").read_text() == "{}"


def test_a_kit_that_was_taken_away_comes_back_without_a_policy(kits):
    shutil.rmtree(kits.out / "site-1")
    rekey(kits, "site-1")
    provision(kits.project_file, kits.out, now=now())

    assert load(kits, "site-1").identity.name == "site-1"
    assert not (kits.out / "site-1" / "site_policy.json").exists()


def test_an_exchange_that_was_cut_short_anywhere_is_completed_by_the_next(
    monkeypatch, made, tmp_path
):
    for number in range(100):
        shutil.copytree(made.out.parent, tmp_path / str(number))
        kits = Kits(tmp_path / str(number) / "project.yml", tmp_path / str(number) / "kits")
        cut_at(monkeypatch, number)
        try:
            rekey(kits, LEAD)
        except PowerCut:
            monkeypatch.undo()
        else:
            break
        again = (
            rekey(kits, LEAD) if number % 2 else provision(kits.project_file, kits.out, now=now())
        )
        assert load(kits, LEAD).identity.name == LEAD
        assert not list(kits.out.glob("*/*.next"))
        assert again.revocations in {1, 2, 3}
    assert number > 8


def test_who_makes_its_own_keys_sends_a_new_request(kits, tmp_path):
    text = kits.project_file.read_text()
    kits.project_file.write_text(
        text.replace("client_name: site-2", "client_name: site-2\n  own_keys: true")
    )
    with pytest.raises(UsageError, match="makes its own keys"):
        rekey(kits, "site-2")
    asked = make_own_keys(SITE_2, tmp_path / "mine", new_key=True)
    with pytest.raises(KitError) as caught:
        sign_request(kits.project_file, asked, kits.out, now=now())
    assert caught.value.reason == "KEY_CHANGED"
    revoke(kits.project_file, kits.out, ToRevoke(("site-2",)), now=now())
    _, done = sign_request(kits.project_file, asked, kits.out, now=now())

    assert change(done, "site-2") == "rekeyed"
    assert not list((kits.out / "site-2").glob("*.key"))
    shutil.copytree(kits.out / "site-2", tmp_path / "mine" / "site-2", dirs_exist_ok=True)
    assert load(kits, "site-2", tmp_path / "mine").identity == SITE_2


def test_a_stolen_key_does_not_come_back_with_a_request(kits, tmp_path):
    text = kits.project_file.read_text()
    kits.project_file.write_text(text.replace("client_name: site-2", "client_name: site-3"))
    thief = tmp_path / "mine" / "site-3"
    thief.mkdir(parents=True, mode=0o700)
    shutil.copy2(kits.out / "site-1" / "client.key", thief)
    asked = make_own_keys(Identity("demo", Role.CLIENT, "site-3"), tmp_path / "mine")
    revoke(kits.project_file, kits.out, ToRevoke(("site-1",)), now=now())

    with pytest.raises(KitError) as caught:
        sign_request(kits.project_file, asked, kits.out, now=now())
    assert caught.value.reason == "KEY_REUSED"


def test_the_same_revoked_key_is_not_signed_again(kits, tmp_path):
    shutil.copytree(kits.out / "site-2", tmp_path / "mine" / "site-2")
    asked = make_own_keys(SITE_2, tmp_path / "mine")
    revoke(kits.project_file, kits.out, ToRevoke(("site-2",)), now=now())

    with pytest.raises(KitError) as caught:
        sign_request(kits.project_file, asked, kits.out, now=now())
    assert caught.value.reason == "REVOKED"


def test_nobody_named_and_nobody_known_change_nothing(kits):
    before = (kits.out / "authority" / "state.json").read_bytes()
    for names in ((), ("site-9",), ("site-1", "site-9")):
        with pytest.raises(UsageError):
            rekey(kits, *names)
    assert (kits.out / "authority" / "state.json").read_bytes() == before


def test_a_life_below_zero_makes_no_certificate(kits):
    with pytest.raises(UsageError):
        renew_keys(kits.project_file, kits.out, ("site-1",), now=now(), life=timedelta(days=-1))


def test_the_old_kit_does_not_hold_once_it_knows_the_list(kits, tmp_path):
    shutil.copytree(kits.out / "site-1", tmp_path / "old" / "site-1")
    rekey(kits, "site-1")
    shutil.copy(kits.out / "localhost" / "revocations.json", tmp_path / "old" / "site-1")

    with pytest.raises(CertificateError) as caught:
        load(kits, "site-1", tmp_path / "old")
    assert caught.value.reason == "CERT_REVOKED"
