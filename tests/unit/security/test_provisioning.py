# SPDX-License-Identifier: Apache-2.0
"""Provisioning: everybody gets a kit, again and again, and nobody's key changes."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from mmar_runner.errors import CertificateError, KitError, UsageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations
from mmar_runner.security.policy import document as document_module
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.provisioning import authority as authority_module
from mmar_runner.security.provisioning.calls import (
    provision,
    renew,
    renew_keys,
    revoke,
    sign_request,
)
from mmar_runner.security.provisioning.own_keys import make_own_keys
from mmar_runner.security.provisioning.revocation_issue import ToRevoke

NOW = datetime.now(UTC).replace(microsecond=0)
LEAD, OWN = "lead@example.org", "own@example.org"
ROLES = {"localhost": Role.SERVER, LEAD: Role.ADMIN, OWN: Role.ADMIN}
PROJECT = f"""\
name: lungs
server: {{org: university, cn: localhost}}
fl_clients:
  - {{org: north, client_name: site-1}}
  - {{org: south, client_name: site-2}}
admin_clients:
  - {{org: university, email: {LEAD}}}
"""


class World:
    """A project file and the folder of its kits."""

    def __init__(self, folder):
        self.file = folder / "project.yml"
        self.out = folder / "kits"
        self.file.write_text(PROJECT)

    def edit(self, old, new):
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new, 1))

    def make(self, now=NOW, **options):
        return provision(self.file, self.out, now=now, **options)

    def kit(self, name, now=NOW, out=None):
        return load_kit((out or self.out) / name, ROLES.get(name, Role.CLIENT), now=now)

    def files(self, *patterns):
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for pattern in patterns or ("*",)
            for path in sorted(self.out.rglob(pattern))
            if path.is_file()
        }

    def revocations(self, name="localhost"):
        folder = self.out / name
        root = (self.out / "authority" / "rootCA.pem").read_bytes()
        return read_revocations((folder / "revocations.json").read_bytes(), root)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def changes(done):
    return {outcome.name: outcome.change for outcome in done.outcomes}


def serial(world, name):
    certificate = "server.crt" if name == "localhost" else "client.crt"
    return read_peer_certificate((world.out / name / certificate).read_bytes()).serial


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


def test_renewing_a_kit_that_was_taken_away_gives_files_to_lay_over_it(world, tmp_path):
    world.make()
    moved = shutil.move(world.out / "site-1", tmp_path / "site-1")
    (Path(moved) / "site_policy.json").write_text('{"version": 1, "byoc": "digest"}')
    renew(world.file, world.out, ("site-1",), now=NOW, life=timedelta(days=500))
    shutil.copytree(world.out / "site-1", moved, dirs_exist_ok=True)

    assert not (world.out / "site-1" / "client.key").exists()
    kit = world.kit("site-1", NOW + timedelta(days=400), out=tmp_path)
    assert load_policy(kit.policy).byoc == "digest"


def test_renewing_everybody_writes_the_kits_that_were_taken_away_too(world, tmp_path):
    """A certificate that nobody gets helps nobody."""
    world.make()
    for name in ("localhost", "site-1", LEAD):
        shutil.move(world.out / name, tmp_path / name)
    done = renew(world.file, world.out, now=NOW, life=timedelta(days=500))

    assert set(changes(done).values()) == {"renewed"}
    for name in ("localhost", "site-1", LEAD):
        shutil.copytree(world.out / name, tmp_path / name, dirs_exist_ok=True)
        assert not list((world.out / name).glob("*.key"))
        assert world.kit(name, NOW + timedelta(days=400), out=tmp_path).identity.name == name


@pytest.mark.parametrize("what", ["authorization", "administrator", "site"])
def test_kits_that_were_taken_away_and_are_not_the_newest_are_told_until_renewed(
    world, tmp_path, what
):
    world.make()
    given = shutil.copy(world.out / "site-1" / "authorization.json", tmp_path / "mine.json")
    for name in ("localhost", "site-1"):
        shutil.move(world.out / name, tmp_path / name)
    assert world.make().notes == ()
    if what == "authorization":
        given.write_text(given.read_text() + "\n")
        done = world.make(authorization=given)
    else:
        part = "admin_clients:\n"
        more = f"  - {{org: north, email: {OWN}}}\n"
        if what == "site":
            part, more = "fl_clients:\n", "  - {org: east, client_name: site-3}\n"
        world.edit(part, part + more)
        done = world.make()

    files = "authorization.json" + (" or trust.json" if what == "administrator" else "")
    (note,) = done.notes
    assert note.startswith(f"2 kits that were taken away hold an old {files}: ")
    assert f"provision renew PROJECT.yml localhost site-1 --out {world.out}`" in note
    assert {o.name: bool(o.behind) for o in done.outcomes if o.change == "away"} == {
        "localhost": True,
        "site-1": True,
    }
    assert world.make().notes == done.notes
    renew(world.file, world.out, ("localhost",), now=NOW)
    (note,) = world.make().notes
    assert note.startswith("1 kit that was taken away holds an old ")
    assert "PROJECT.yml site-1 --out" in note


def test_the_revoked_are_not_asked_to_take_newer_files(world, tmp_path):
    world.make()
    shutil.move(world.out / "site-1", tmp_path / "site-1")
    revoke(world.file, world.out, ToRevoke(("site-1",)), now=NOW)
    world.edit("fl_clients:\n", "fl_clients:\n  - {org: east, client_name: site-3}\n")

    assert world.make().notes == ()


def test_a_name_that_the_servers_certificate_lacks_is_told_until_it_is_renewed(world):
    world.edit("cn: localhost", 'cn: localhost, host_names: ["0:0::1", 127.0.0.1]')
    assert world.make().notes == ()
    world.edit("127.0.0.1]", "fl.example.org, 10.0.0.1]")
    done = world.make()

    (note,) = done.notes
    assert "the certificate of localhost lacks fl.example.org, 10.0.0.1: " in note
    assert f"provision renew PROJECT.yml localhost --out {world.out}`" in note
    assert renew(world.file, world.out, ("localhost",), now=NOW).notes == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cn: localhost", "cn: localhost, min_num_clients: 5", "min_num_clients is 5 "),
        ("  - {org: south, client_name: site-2}\n", "", "the project has 1 client:"),
        (f"admin_clients:\n  - {{org: university, email: {LEAD}}}\n", "", "no administrator"),
    ],
    ids=["more", "default", "nobody signs"],
)
def test_a_project_in_which_nothing_can_run_is_told(world, old, new, says):
    world.edit(old, new)
    (note,) = world.make().notes

    assert says in note


@pytest.mark.parametrize("what", ["sign", "renew", "rekey", "revoke"])
@pytest.mark.parametrize("there", [False, True], ids=["no folder", "another folder"])
def test_nothing_but_provision_makes_an_authority(own, tmp_path, what, there):
    """Nobody trusts the root that a mistyped --out would get."""
    asked = make_own_keys(Identity("lungs", Role.CLIENT, "site-2"), tmp_path / "mine")
    wrong = tmp_path / "otherplace"
    if there:
        wrong.mkdir()
    calls = {
        "sign": lambda: sign_request(own.file, asked, wrong, now=NOW),
        "renew": lambda: renew(own.file, wrong, ("site-1",), now=NOW),
        "rekey": lambda: renew_keys(own.file, wrong, ("site-1",), now=NOW),
        "revoke": lambda: revoke(own.file, wrong, ToRevoke(("site-1",)), now=NOW),
    }
    with pytest.raises(UsageError, match=r"there is no authority in .*otherplace") as caught:
        calls[what]()

    assert caught.value.reason == "NOT_FOUND"
    assert "the --out that `mmar-runner provision PROJECT.yml` had" in caught.value.hint
    assert not list(wrong.iterdir()) if there else not wrong.exists()


def test_a_policy_that_is_gone_is_not_replaced_by_the_first_one(world, tmp_path):
    """The blocks and filters that stood in it would be lost, and nobody would know."""
    world.make()
    asked = make_own_keys(Identity("lungs", Role.CLIENT, "site-2"), tmp_path / "mine")
    gone = (world.out / "site-1" / "site_policy.json", asked.with_name("site_policy.json"))
    for path in gone:
        path.unlink()
    world.make()
    make_own_keys(Identity("lungs", Role.CLIENT, "site-2"), tmp_path / "mine")

    assert not any(path.exists() for path in gone)


def test_renewing_keeps_the_key_and_changes_the_certificate(world):
    world.make()
    keys, old = world.files("*.key"), {n: serial(world, n) for n in ("site-1", "site-2")}
    done = renew(world.file, world.out, ("site-1",), now=NOW, life=timedelta(days=3))

    assert changes(done)["site-1"] == "renewed"
    assert changes(done)["site-2"] == "unchanged"
    assert world.files("*.key") == keys
    assert serial(world, "site-1") != old["site-1"]
    assert serial(world, "site-2") == old["site-2"]
    assert world.kit("site-1").certificate.not_after == NOW + timedelta(days=3)


def test_renewing_everybody_passes_over_the_revoked(world):
    world.make()
    revoke(world.file, world.out, ToRevoke(("site-1",)), now=NOW)
    before = serial(world, "site-1")
    done = renew(world.file, world.out, now=NOW)

    assert changes(done) == {
        "localhost": "renewed",
        "site-1": "revoked",
        "site-2": "renewed",
        LEAD: "renewed",
    }
    assert serial(world, "site-1") == before


def test_the_revoked_are_not_renewed_and_the_unknown_are_named(world):
    world.make()
    revoke(world.file, world.out, ToRevoke(("site-1",)), now=NOW)

    with pytest.raises(KitError) as caught:
        renew(world.file, world.out, ("site-1",), now=NOW)
    assert caught.value.reason == "REVOKED"
    with pytest.raises(UsageError) as missing:
        renew(world.file, world.out, ("site-3",), now=NOW)
    assert missing.value.reason == "NOT_FOUND"
    assert "site-" in missing.value.hint


def test_revoking_reaches_every_kit(world):
    world.make()
    old = serial(world, "site-1")
    renew(world.file, world.out, ("site-1",), now=NOW)
    done = revoke(world.file, world.out, ToRevoke(("site-1", LEAD), digests=("a" * 64,)), now=NOW)

    assert done.revocations == 2
    for name in ("localhost", "site-1", "site-2", LEAD):
        found = world.revocations(name)
        assert found.version == 2
        assert {old, serial(world, "site-1"), serial(world, LEAD)} == set(found.serials)
        assert found.digests == ("a" * 64,)
    (key,) = world.kit("site-2").trust_root.release_keys
    assert world.revocations().revokes_key(key.id)


def test_revoking_again_is_no_news_and_more_is(world):
    world.make()
    (key,) = world.kit("site-2").trust_root.release_keys
    what = ToRevoke(("site-1",), key_ids=(key.id,))
    assert revoke(world.file, world.out, what, now=NOW).revocations == 2
    before = world.files("revocations.json")
    assert revoke(world.file, world.out, what, now=NOW).revocations == 2
    assert world.files("revocations.json") == before
    assert revoke(world.file, world.out, ToRevoke(("site-2",)), now=NOW).revocations == 3
    assert set(world.revocations().key_ids) == {key.id}


def test_an_id_of_nobodys_key_revokes_nothing_and_is_told(world):
    world.make()
    (key,) = world.kit("site-2").trust_root.release_keys
    before = world.files()
    mistyped = key.id[:-1] + ("0" if key.id[-1] != "0" else "1")

    with pytest.raises(UsageError, match=mistyped) as caught:
        revoke(world.file, world.out, ToRevoke(key_ids=(key.id, mistyped)), now=NOW)
    assert caught.value.reason == "NOT_FOUND"
    assert f"{key.id} ({LEAD})" in caught.value.hint
    assert world.files() == before


def test_whose_certificate_outlives_its_place_in_the_project_is_told(world):
    world.make()
    world.edit("  - {org: north, client_name: site-1}\n", "")
    world.edit("cn: localhost", "cn: localhost, min_num_clients: 1")
    done = world.make()
    (note,) = done.notes
    assert changes(done)["site-1"] == "left"
    assert "site-1 is not in the project file" in note
    assert f"provision revoke PROJECT.yml site-1 --out {world.out}" in note

    assert world.make(NOW + timedelta(days=366)).notes == ()
    assert revoke(world.file, world.out, ToRevoke(("site-1",)), now=NOW).notes == ()


def test_somebody_who_left_the_project_can_be_revoked_and_hears_of_it(world):
    world.make()
    world.edit("  - {org: north, client_name: site-1}\n", "")
    done = revoke(world.file, world.out, ToRevoke(("site-1",)), now=NOW)

    assert changes(done)["site-1"] == "revoked"
    assert world.revocations("site-1").version == 2


@pytest.mark.parametrize(
    "what",
    [ToRevoke(), ToRevoke(("nobody",)), ToRevoke(key_ids=("abc",)), ToRevoke(digests=("A" * 64,))],
    ids=["nothing", "nobody", "id", "digest"],
)
def test_what_cannot_be_revoked_changes_nothing(world, what):
    world.make()
    before = world.files()

    with pytest.raises(UsageError):
        revoke(world.file, world.out, what, now=NOW)
    assert world.files() == before


def test_the_list_is_renewed_before_it_grows_stale(world):
    world.make()
    world.make(NOW + timedelta(days=44))
    assert world.revocations().version == 1
    done = world.make(NOW + timedelta(days=46))

    assert done.revocations == world.revocations().version == 2
    assert not world.revocations().stale(NOW + timedelta(days=135))


def test_an_older_copy_of_the_authority_takes_no_revocation_back(world):
    world.make()
    state = world.out / "authority" / "state.json"
    old = state.read_bytes()
    revoke(world.file, world.out, ToRevoke(("site-1",)), now=NOW)
    state.write_bytes(old)
    world.make()

    assert world.revocations().version == 2
    assert world.revocations().revokes_certificate(serial(world, "site-1"))


# -- requests -------------------------------------------------------------------------------


@pytest.fixture
def own(world):
    world.edit("client_name: site-2}", "client_name: site-2, own_keys: true}")
    world.make()
    return world


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


# -- authorization --------------------------------------------------------------------------


def test_an_authorization_is_made_of_the_project(world):
    world.edit(
        "email: " + LEAD,
        f"email: {OWN}, roles: [site_it, lead_it]}}\n  - "
        f"{{org: north, email: n@example.org}}\n  - {{org: university, email: {LEAD}",
    )
    world.make()
    made = load_authorization(world.kit("site-1").authorization)

    assert {name: (user.org, user.roles) for name, user in made.users.items()} == {
        LEAD: ("university", ("super",)),
        OWN: ("university", ("site_it", "lead_it")),
        "n@example.org": ("north", ("lead_researcher",)),
    }
    assert made.sites == {"server": "university", "site-1": "north", "site-2": "south"}
    assert made.groups_at("site-2") == ("strict", "general")
    assert made.groups["strict"].rules == {"allow_byoc": False, "allow_custom_datalist": False}


def test_a_given_authorization_goes_into_every_kit_and_stays(world, tmp_path):
    world.make()
    value = json.loads((world.out / "site-1" / "authorization.json").read_bytes())
    del value["sites"]["site-2"]
    given = tmp_path / "mine.json"
    given.write_text(json.dumps(value))
    done = world.make(authorization=given)
    world.make()

    for name in ("localhost", "site-1", LEAD):
        assert world.kit(name).authorization.read_bytes() == given.read_bytes()
    assert any("does not name site-2" in note for note in done.notes)


def test_the_authorization_that_was_checked_is_the_one_that_is_given(world, tmp_path, monkeypatch):
    """Somebody may replace the file between a look at it and a second one."""
    world.make()
    given = tmp_path / "mine.json"
    checked = (world.out / "site-1" / "authorization.json").read_text() + "\n"
    given.write_text(checked)
    read = document_module.read_json

    def replaced(text):
        given.write_text('{"version": "1.0"}')
        return read(text)

    monkeypatch.setattr(document_module, "read_json", replaced)
    world.make(authorization=given)

    assert world.kit("site-1").authorization.read_text() == checked


def test_who_is_named_twice_gets_no_certificate_that_is_forgotten(world, monkeypatch):
    """It could not be revoked."""
    world.make()
    issue, issued = authority_module.issue, []

    def told(*arguments):
        issued.append(issue(*arguments))
        return issued[-1]

    monkeypatch.setattr(authority_module, "issue", told)
    renew(world.file, world.out, ("site-1", "site-1"), now=NOW)

    state = json.loads((world.out / "authority" / "state.json").read_bytes())
    (entry,) = (entry for entry in state["known"] if entry["name"] == "site-1")
    kept = {certificate["pem"] for certificate in entry["certificates"]}
    assert {pem.decode() for pem in issued} <= kept
    assert len(issued) == 1


def test_a_given_authorization_with_faults_changes_nothing(world, tmp_path):
    world.make()
    before = world.files()
    given = tmp_path / "mine.json"
    given.write_text('{"version": "1.0"}')

    with pytest.raises(UsageError, match=r"mine\.json"):
        world.make(authorization=given)
    assert world.files() == before


def test_a_site_begins_with_a_policy_that_allows_nothing(world):
    world.make()
    for name in ("localhost", "site-1"):
        policy = load_policy(world.kit(name).policy)

        assert policy.byoc == "refuse"
        assert not policy.allows_path("torch.nn.Linear")
        assert policy.signatures["mmar"] == 1
        assert not policy.allow_custom_datalist


# -- what goes wrong ------------------------------------------------------------------------


class PowerCut(BaseException):
    """The process ends here."""


def cut_at(monkeypatch, number):
    """Let the n-th file never get its name, neither by a rename nor by a link."""
    left = [number]

    def cutting(real):
        def call(source, target):
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1
            return real(source, target)

        return call

    monkeypatch.setattr(Path, "replace", cutting(os.replace))
    monkeypatch.setattr(os, "link", cutting(os.link))


def test_a_run_that_was_cut_short_anywhere_is_completed_by_the_next(monkeypatch, tmp_path):
    cuts = 0
    for number in range(1000):
        (tmp_path / str(number)).mkdir()
        here = World(tmp_path / str(number))
        cut_at(monkeypatch, number)
        try:
            here.make()
        except PowerCut:
            cuts += 1
        else:
            break
        finally:
            monkeypatch.undo()
        keys = here.files("*.key")
        here.make()
        for name in ("localhost", "site-1", "site-2", LEAD):
            here.kit(name)
        after = here.files("*.key")
        assert {name: after[name] for name in keys} == keys
    assert cuts > 40


def test_runs_at_the_same_time_wait_for_each_other(world):
    context = multiprocessing.get_context("spawn")
    runs = [
        context.Process(target=provision, args=(world.file, world.out), kwargs={"now": NOW})
        for _ in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(50)

    assert [run.exitcode for run in runs] == [0, 0, 0]
    state = json.loads((world.out / "authority" / "state.json").read_bytes())
    assert {entry["name"]: len(entry["certificates"]) for entry in state["known"]} == dict.fromkeys(
        ["localhost", "site-1", "site-2", LEAD], 1
    )
    for name in ("localhost", "site-1", "site-2", LEAD):
        world.kit(name)


def test_the_folder_of_one_project_is_not_anothers(world):
    world.make()
    world.edit("name: lungs", "name: hearts")

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "PROJECT_MISMATCH"


@pytest.mark.parametrize("name", ["root.key", "rootCA.pem"])
def test_an_authority_that_lost_a_file_makes_no_other(world, name):
    world.make()
    (world.out / "authority" / name).unlink()

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "AUTHORITY_DAMAGED"
    assert "backup" in caught.value.hint


def test_an_authority_whose_key_others_can_read_is_not_used(world):
    world.make()
    (world.out / "authority" / "root.key").chmod(0o644)

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "KEY_READABLE"


@pytest.mark.parametrize("name", ["../outside", "..", "a/b", "SITE-TWICE"])
def test_a_memory_whose_names_lead_away_or_come_twice_is_refused(world, name):
    world.make()
    path = world.out / "authority" / "state.json"
    state = json.loads(path.read_text())
    state["known"][0]["name"] = name
    state["known"][1]["name"] = "site-twice"
    path.write_text(json.dumps(state))
    before = sorted(entry.name for entry in world.out.parent.iterdir())

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "AUTHORITY_DAMAGED"
    assert sorted(entry.name for entry in world.out.parent.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 1}'], ids=range(3))
def test_a_damaged_memory_is_refused(world, content):
    world.make()
    (world.out / "authority" / "state.json").write_bytes(content)

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "AUTHORITY_DAMAGED"


def test_an_authority_whose_time_is_over_says_so(world):
    world.make()

    with pytest.raises(CertificateError) as caught:
        world.make(NOW + authority_module.ROOT_LIFE)
    assert caught.value.reason == "CERT_EXPIRED"


def test_a_key_that_was_exchanged_in_a_kit_is_refused(world):
    world.make()
    shutil.copy(world.out / "site-2" / "client.key", world.out / "site-1" / "client.key")

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "KEY_CHANGED"


def test_a_name_keeps_its_role(world):
    world.make()
    world.edit("cn: localhost", "cn: site-1")
    world.edit("client_name: site-1", "client_name: site-3")

    with pytest.raises(KitError) as caught:
        world.make()
    assert caught.value.reason == "NAME_TAKEN"


@pytest.mark.parametrize("gone", [False, True], ids=["named twice", "left"])
@pytest.mark.parametrize("request_it", [False, True], ids=["made", "asked"])
def test_a_name_like_that_of_somebody_known_is_refused(world, tmp_path, gone, request_it):
    world.make()
    before = world.files()
    new = "{org: east, client_name: SITE-1}"
    world.edit("{org: north, client_name: site-1}", new)
    if not gone:  # the file itself names both
        world.edit(new, new + "\n  - {org: north, client_name: site-1}")
    asked = make_own_keys(Identity("lungs", Role.CLIENT, "SITE-1"), tmp_path / "mine")

    sign = partial(sign_request, world.file, asked, world.out, now=NOW)
    with pytest.raises((KitError, UsageError)) as caught:
        (sign if request_it else world.make)()
    assert caught.value.reason == ("NAME_TAKEN" if gone else "PROJECT_INVALID")
    assert "site-1" in caught.value.message + caught.value.hint
    assert world.files() == before


def test_nobody_is_enrolled_when_one_name_is_taken(world):
    world.make()
    world.edit("{org: north, client_name: site-1}", "{org: x, client_name: new}")
    world.edit("{org: south, client_name: site-2}", "{org: y, client_name: Site-2}")

    with pytest.raises(KitError, match="Site-2 differs from site-2"):
        world.make()
    assert not (world.out / "new").exists()


def test_an_altered_file_is_put_right(world):
    world.make()
    path = world.out / "site-1" / "fed_client.json"
    path.write_text("{}")
    done = world.make()

    assert changes(done)["site-1"] == "changed"
    assert world.kit("site-1").target == "localhost:8002"


def test_another_address_of_the_server_reaches_the_clients(world):
    world.make()
    world.edit("cn: localhost", 'cn: "::1", fed_learn_port: 9000')
    world.make()

    assert world.kit("site-1").target == "[::1]:9000"
