# SPDX-License-Identifier: Apache-2.0
"""The authorization and the policy that a kit begins with."""

from __future__ import annotations

import json

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.security.policy import document as document_module
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.provisioning import authority as authority_module
from mmar_runner.security.provisioning.calls import renew
from tests.unit.security.provisioning.world import LEAD, NOW, OWN


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


def test_the_rights_of_each_role_are_written_out(world):
    world.make()
    value = json.loads(world.kit("site-1").authorization.read_bytes())

    assert value["groups"]["general"]["role_rights"] == {
        "super": {},
        "lead_researcher": dict.fromkeys(
            ("train_all", "view_all", "deploy_self", "deploy_all", "operate_self", "operate_all"),
            True,
        ),
        "site_researcher": {"train_self": True, "view_self": True},
        "lead_it": {"operate_all": True, "view_all": True},
        "site_it": {"operate_self": True, "view_self": True},
    }


def test_the_configurations_of_a_project_are_written_out(world):
    world.edit("cn: localhost", "cn: localhost, min_num_clients: 1, max_num_clients: 7")
    world.make()
    ends = {"service": {"target": "localhost:8002"}, "name": "lungs"}

    def ssl(name):
        files = {"ssl_private_key": f"{name}.key", "ssl_cert": f"{name}.crt"}
        return {**files, "ssl_root_cert": "rootCA.pem"}

    server, client = (dict(world.kit(name).config) for name in ("localhost", "site-1"))
    assert server.pop("servers") == [
        {
            **ends,
            "admin_host": "localhost",
            "admin_port": 8003,
            "admin_storage": "transfer",
            "min_num_clients": 1,
            "max_num_clients": 7,
            "heart_beat_timeout": 600,
            **ssl("server"),
        }
    ]
    assert client.pop("client") == {"name": "site-1", "retry_timeout": 30, **ssl("client")}
    assert client.pop("servers") == [ends]
    assert (
        server
        == client
        == {
            "format_version": 1,
            "project": "lungs",
            "config_folder": "config",
        }
    )


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


def test_another_organisation_than_the_given_authorization_has_is_noted(world, tmp_path):
    """A site went on being judged by its old organisation's groups, and nobody said so."""
    given = tmp_path / "mine.json"
    world.make()
    given.write_bytes((world.out / "site-1" / "authorization.json").read_bytes())
    assert not any("authorization" in note for note in world.make(authorization=given).notes)
    world.edit("org: south", "org: coast")
    world.edit(f"org: university, email: {LEAD}", f"org: coast, email: {LEAD}")
    notes = world.make().notes

    groups = "in the given authorization.json, whose groups count"
    assert f"site-2 is of coast in the project file, and of south {groups}" in notes
    assert f"{LEAD} is of coast in the project file, and of university {groups}" in notes
    assert notes[-1].startswith("to mend that, correct 'users', 'orgs' and 'sites' in a copy of ")
    assert notes[-1].endswith(f"--out {world.out} --authorization COPY`")

    value = json.loads(given.read_bytes())
    value["orgs"]["coast"] = value["orgs"]["south"]
    value["sites"]["site-2"] = value["users"][LEAD]["org"] = "coast"
    given.write_text(json.dumps(value))
    assert not any("authorization" in note for note in world.make(authorization=given).notes)


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
