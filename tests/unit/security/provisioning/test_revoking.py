# SPDX-License-Identifier: Apache-2.0
"""Revoking: it reaches every kit, and nothing takes it back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.security.provisioning.calls import renew, revoke
from mmar_runner.security.provisioning.revocation_issue import ToRevoke
from tests.unit.security.provisioning.world import LEAD, NOW, changes, serial


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
