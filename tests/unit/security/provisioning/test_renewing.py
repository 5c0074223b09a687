# SPDX-License-Identifier: Apache-2.0
"""Renewing: the key stays, the certificate changes, and kits that are away are told."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from mmar_runner.errors import KitError, UsageError
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.provisioning.calls import renew, revoke
from mmar_runner.security.provisioning.revocation_issue import ToRevoke
from tests.unit.security.provisioning.world import LEAD, NOW, OWN, changes, serial


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
