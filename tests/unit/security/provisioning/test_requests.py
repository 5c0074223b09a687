# SPDX-License-Identifier: Apache-2.0
"""Keys that a participant makes itself, and the request to certify them."""

from __future__ import annotations

import shutil

import pytest

from mmar_runner.errors import CertificateError, KitError, UsageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.provisioning.calls import sign_request
from mmar_runner.security.provisioning.own_keys import make_own_keys
from tests.unit.security.provisioning.world import LEAD, NOW, changes


def test_no_key_is_made_for_who_makes_its_own(own):
    done = own.make()

    assert changes(done)["site-2"] == "awaited"
    assert not (own.out / "site-2").exists()
    (note,) = done.notes
    assert "request --project lungs --role client --name site-2 --out DIR`" in note
    assert f"`mmar-runner provision sign PROJECT.yml request.pem --out {own.out}`" in note


@pytest.mark.parametrize(("name", "role"), [("site-2", Role.CLIENT), (LEAD, Role.ADMIN)])
def test_a_request_becomes_a_kit_without_its_private_key(world, tmp_path, name, role):
    world.edit("client_name: site-2}", "client_name: site-2, own_keys: true}")
    world.edit(f"email: {LEAD}}}", f"email: {LEAD}, own_keys: true}}")
    world.make()
    mine = tmp_path / "mine"
    asked = make_own_keys(Identity("lungs", role, name), mine)
    secret = {path.name: path.read_bytes() for path in (mine / name).glob("*.key")}
    certified, done = sign_request(world.file, asked, world.out, now=NOW)
    world.make()

    assert changes(done)[name] == "made"
    assert certified.identity == Identity("lungs", role, name)
    assert len(secret) == (2 if role is Role.ADMIN else 1)
    assert not list((world.out / name).glob("*.key"))
    assert not any(key in data for key in secret.values() for data in world.files().values())
    shutil.copytree(world.out / name, mine / name, dirs_exist_ok=True)
    assert world.kit(name, out=mine).identity == Identity("lungs", role, name)
    assert {p.name: p.read_bytes() for p in (mine / name).glob("*.key")} == secret


def test_a_policy_that_a_site_wrote_meanwhile_is_not_laid_over(own, tmp_path):
    asked = make_own_keys(Identity("lungs", Role.CLIENT, "site-2"), tmp_path / "mine")
    folder = asked.parent
    assert load_policy(folder / "site_policy.json").byoc == "refuse"
    sign_request(own.file, asked, own.out, now=NOW)

    assert not (own.out / "site-2" / "site_policy.json").exists()


def test_asking_and_signing_again_changes_nothing(own, tmp_path):
    identity = Identity("lungs", Role.CLIENT, "site-2")
    asked = make_own_keys(identity, tmp_path / "mine")
    sign_request(own.file, asked, own.out, now=NOW)
    before = own.files("*.crt")
    sign_request(own.file, make_own_keys(identity, tmp_path / "mine"), own.out, now=NOW)

    assert own.files("*.crt") == before


def test_nobody_gets_a_second_key(own, tmp_path):
    identity = Identity("lungs", Role.CLIENT, "site-2")
    own.make()
    for name in ("site-1", "site-2"):
        who = Identity("lungs", Role.CLIENT, name)
        asked = make_own_keys(who, tmp_path / "mine")
        if name == "site-2":
            sign_request(own.file, asked, own.out, now=NOW)
            asked = make_own_keys(identity, tmp_path / "thief")
        with pytest.raises(KitError) as caught:
            sign_request(own.file, asked, own.out, now=NOW)
        assert caught.value.reason == "KEY_CHANGED"


def test_a_request_in_the_folder_of_the_kits_is_waited_for(world):
    make_own_keys(Identity("lungs", Role.CLIENT, "site-2"), world.out)
    done = world.make()

    assert changes(done)["site-2"] == "awaited"
    assert not (world.out / "site-2" / "client.crt").exists()
    (note,) = done.notes
    assert f"sign PROJECT.yml {world.out / 'site-2' / 'request.pem'} --out {world.out}`" in note
    sign_request(world.file, world.out / "site-2" / "request.pem", world.out, now=NOW)
    assert world.kit("site-2").identity.name == "site-2"


@pytest.mark.parametrize(
    ("identity", "error"),
    [
        (Identity("lungs", Role.CLIENT, "site-9"), "NOT_FOUND"),
        (Identity("lungs", Role.ADMIN, "site@2"), "NOT_FOUND"),
        (Identity("hearts", Role.CLIENT, "site-2"), "REQUEST_INVALID"),
    ],
    ids=["name", "role", "project"],
)
def test_a_request_of_somebody_else_is_refused(own, tmp_path, identity, error):
    asked = make_own_keys(identity, tmp_path / "mine")

    with pytest.raises((UsageError, CertificateError)) as caught:
        sign_request(own.file, asked, own.out, now=NOW)
    assert caught.value.reason == error
    assert caught.value.hint


def test_the_authoritys_own_key_is_certified_for_nobody(own, tmp_path):
    own.make()
    (tmp_path / "mine" / "site-2").mkdir(parents=True, mode=0o700)
    root = own.out / "authority" / "root.key"
    shutil.copy(root, tmp_path / "mine" / "site-2" / "client.key")
    asked = make_own_keys(Identity("lungs", Role.CLIENT, "site-2"), tmp_path / "mine")

    with pytest.raises(KitError, match="authority") as caught:
        sign_request(own.file, asked, own.out, now=NOW)
    assert caught.value.reason == "KEY_REUSED"
    assert not (own.out / "site-2").exists()


@pytest.mark.parametrize(
    "identity",
    [
        Identity("lungs", Role.CLIENT, "../x"),
        Identity("lungs", Role.ADMIN, "nobody"),
        Identity("lungs", Role.SERVER, "a b"),
        Identity("lu\nngs", Role.CLIENT, "site-1"),
        Identity("x" * 65, Role.CLIENT, "site-1"),
    ],
    ids=range(5),
)
def test_a_name_that_is_none_makes_no_key(tmp_path, identity):
    with pytest.raises(UsageError):
        make_own_keys(identity, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
