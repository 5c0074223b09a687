# SPDX-License-Identifier: Apache-2.0
"""Everybody gets a kit, again and again, and nobody's key changes."""

from __future__ import annotations

import shutil
from datetime import timedelta

from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.policy.authorization_file import load_authorization
from tests.unit.security.provisioning.world import LEAD, NOW, OWN, World, changes


def test_everybody_gets_a_kit_that_holds(world):
    done = world.make()

    names = ["localhost", "site-1", "site-2", LEAD]
    assert changes(done) == dict.fromkeys(names, "made")
    for name in names:
        assert world.kit(name).identity.name == name
    assert done.revocations == 1
    assert done.root_fingerprint == world.kit("site-1").trust_root.root_sha256


def test_private_keys_are_for_their_owner_alone(world):
    world.make()

    keys = list(world.out.rglob("*.key"))
    assert len(keys) == 6
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert {p.stat().st_mode & 0o777 for p in world.out.iterdir()} == {0o700}
    assert len({key_id(load_private_key(path).public_key()) for path in keys}) == 6


def test_the_authoritys_key_is_in_no_kit(world):
    world.make()
    root = (world.out / "authority" / "root.key").read_bytes()

    holders = [name for name, data in world.files().items() if root in data]
    assert holders == ["authority/root.key"]


def test_two_projects_share_no_key(tmp_path):
    ids = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        World(tmp_path / name).make()
        keys = (tmp_path / name).rglob("*.key")
        ids |= {key_id(load_private_key(path).public_key()) for path in keys}

    assert len(ids) == 12


def test_a_second_run_changes_no_byte_at_all(world):
    world.make()
    before = world.files()

    assert set(changes(world.make(NOW + timedelta(days=1))).values()) == {"unchanged"}
    assert world.files() == before


def test_a_new_participant_changes_nobodys_key_or_certificate(world):
    world.make()
    (world.out / "site-1" / "site_policy.json").write_text('{"version": 1, "byoc": "allow"}')
    before = world.files("*.key", "*.crt", "rootCA.pem", "site_policy.json")
    world.edit("admin_clients", "  - {org: east, client_name: site-3}\nadmin_clients")
    done = world.make()

    assert changes(done) == {
        "localhost": "changed",
        "site-1": "changed",
        "site-2": "changed",
        "site-3": "made",
        LEAD: "changed",
    }
    after = world.files("*.key", "*.crt", "rootCA.pem", "site_policy.json")
    assert {name: after[name] for name in before} == before
    assert load_authorization(world.kit("site-1").authorization).sites["site-3"] == "east"


def test_a_new_administrators_key_is_known_to_all(world):
    world.make()
    world.edit("admin_clients:\n", f"admin_clients:\n  - {{org: north, email: {OWN}}}\n")
    world.make()

    owners = {key.owner: key.org for key in world.kit("site-2").trust_root.release_keys}
    assert owners == {LEAD: "university", OWN: "north"}


def test_an_administrator_who_left_is_trusted_no_longer(world):
    world.edit("admin_clients:\n", f"admin_clients:\n  - {{org: north, email: {OWN}}}\n")
    world.make()
    world.edit(f"  - {{org: north, email: {OWN}}}\n", "")
    done = world.make()

    assert [key.owner for key in world.kit("site-2").trust_root.release_keys] == [LEAD]
    assert changes(done)[OWN] == "left"


def test_a_kit_that_was_taken_away_is_not_made_again(world):
    world.make()
    shutil.rmtree(world.out / "site-1")
    done = world.make()

    assert changes(done)["site-1"] == "away"
    assert not (world.out / "site-1").exists()
