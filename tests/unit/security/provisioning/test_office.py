# SPDX-License-Identifier: Apache-2.0
"""What the office is told, and what it may not make."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mmar_runner.errors import KitError, UsageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import new_tls_key
from mmar_runner.security.provisioning.calls import renew, renew_keys, revoke, sign_request
from mmar_runner.security.provisioning.own_keys import make_own_keys
from mmar_runner.security.provisioning.rekeying import require_unused
from mmar_runner.security.provisioning.revocation_issue import ToRevoke
from tests.unit.security.provisioning.world import LEAD, NOW


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


def test_an_authority_that_lost_its_memory_makes_nothing(world):
    world.make()
    state = world.out / "authority" / "state.json"
    state.unlink()
    before = world.files()
    with pytest.raises(KitError, match="there is a root already") as caught:
        world.make()

    assert (caught.value.reason, str(state) in caught.value.message) == ("AUTHORITY_DAMAGED", True)
    assert "from your backup" in caught.value.hint
    assert world.files() == before


def test_a_revoked_key_that_nobody_is_known_to_have_had_is_refused():
    key = new_tls_key().public_key()
    revoked = SimpleNamespace(key_ids=(key_id(key),))
    state = SimpleNamespace(known={}, revoked=revoked)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KitError) as caught:
        require_unused(SimpleNamespace(state=state, key=new_tls_key()), pem)

    assert caught.value.reason == "KEY_REUSED"
    says = f"the key {key_id(key)[:16]} is no new one: somebody had it before"
    assert caught.value.message == says
