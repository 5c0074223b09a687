# SPDX-License-Identifier: Apache-2.0
"""An authority whose memory came from a backup: what was revoked since stays revoked."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.errors import CertificateError, KitError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.revocation import read_revocations
from mmar_runner.security.provisioning.calls import (
    provision,
    renew,
    renew_keys,
    revoke,
)
from mmar_runner.security.provisioning.recovery import recovered
from mmar_runner.security.provisioning.revocation_issue import ToRevoke
from mmar_runner.security.provisioning.state import AuthorityState, Revoked
from mmar_runner.testing.kits import make_kits

STOLEN = "site-1"


def now():
    return datetime.now(UTC)


def call(function, kits, *arguments):
    return function(kits.project_file, kits.out, *arguments, now=now())


def change(done, name=STOLEN):
    return next(outcome.change for outcome in done.outcomes if outcome.name == name)


def newest_list(kits, name="localhost"):
    root = (kits.out / "authority" / "rootCA.pem").read_bytes()
    return read_revocations((kits.out / name / "revocations.json").read_bytes(), root)


def serial(kits, name=STOLEN):
    return read_peer_certificate((kits.out / name / "client.crt").read_bytes()).serial


def state_file(kits):
    return kits.out / "authority" / "state.json"


@pytest.fixture(params=["state", "state and list", "list lost"])
def restored(request, kits):
    """Return kits of which one was revoked, and whose authority is from before that."""
    shutil.copytree(kits.out / "authority", kits.out.parent / "backup")
    call(revoke, kits, ToRevoke((STOLEN,)))
    shutil.copy(kits.out.parent / "backup" / "state.json", kits.out / "authority")
    if request.param == "state and list":
        shutil.copy(kits.out.parent / "backup" / "revocations.json", kits.out / "authority")
    elif request.param == "list lost":
        (kits.out / "authority" / "revocations.json").unlink()
    return kits


def test_a_stolen_key_is_not_certified_again_by_renewing_everybody(restored):
    before = serial(restored)
    done = call(renew, restored)

    assert change(done) == "revoked"
    assert change(done, "site-2") == "renewed"
    assert serial(restored) == before
    assert newest_list(restored).revokes_certificate(before)
    assert newest_list(restored).version >= 2


def test_a_stolen_key_is_not_certified_again_by_name(restored):
    with pytest.raises(KitError) as caught:
        call(renew, restored, (STOLEN,))
    assert caught.value.reason == "REVOKED"


def test_what_the_lists_know_is_remembered_from_then_on(restored):
    call(provision, restored)
    for path in restored.out.rglob("revocations.json"):
        path.unlink()
    call(provision, restored)

    assert newest_list(restored).revokes_certificate(serial(restored))
    assert newest_list(restored).version >= 2


def test_who_was_revoked_comes_back_with_new_keys_alone(restored):
    old = serial(restored)
    assert change(call(renew_keys, restored, (STOLEN,))) == "rekeyed"

    assert newest_list(restored).revokes_certificate(old)
    kit = load_kit(restored.client(STOLEN), Role.CLIENT, now=now())
    assert not newest_list(restored).revokes_certificate(kit.certificate.serial)


def test_another_certificate_of_a_stolen_key_is_revoked_too(kits):
    """What an older program issued again is found by its key, not by its number."""
    first = state_file(kits).read_bytes()
    call(renew, kits, (STOLEN,))
    second, again = state_file(kits).read_bytes(), serial(kits)
    state_file(kits).write_bytes(first)
    call(revoke, kits, ToRevoke((STOLEN,)))
    assert not newest_list(kits).revokes_certificate(again)
    version = newest_list(kits).version
    state_file(kits).write_bytes(second)
    done = call(renew, kits)

    assert change(done) == "revoked"
    assert newest_list(kits).revokes_certificate(again)
    assert newest_list(kits).version > version


def test_keys_that_were_exchanged_since_are_not_taken_back(kits):
    old, backup = serial(kits), state_file(kits).read_bytes()
    call(renew_keys, kits, (STOLEN,))
    state_file(kits).write_bytes(backup)

    with pytest.raises(KitError) as caught:
        call(renew, kits, (STOLEN,))
    assert caught.value.reason == "REVOKED"
    call(renew_keys, kits, (STOLEN,))
    assert newest_list(kits).revokes_certificate(old)
    load_kit(kits.client(STOLEN), Role.CLIENT, now=now())


def test_ordinary_work_makes_no_new_list(kits):
    call(revoke, kits, ToRevoke((STOLEN,)))
    before = state_file(kits).read_bytes()
    call(provision, kits)

    assert state_file(kits).read_bytes() == before
    assert newest_list(kits).version == 2


def test_a_list_that_is_not_the_roots_and_a_pipe_say_nothing(kits, tmp_path):
    other = make_kits(tmp_path / "other")
    call(revoke, other, ToRevoke((STOLEN,), digests=("a" * 64,)))
    (kits.out / "notes").mkdir()
    shutil.copy(other.server / "revocations.json", kits.out / "notes")
    (kits.out / "pipe").mkdir()
    os.mkfifo(kits.out / "pipe" / "revocations.json")
    call(provision, kits)

    assert newest_list(kits).digests == ()
    assert newest_list(kits).version == 1


A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], Revoked(4, ("1",), (A,))),
        ([Revoked(2, ("1",))], Revoked(4, ("1",), (A,))),
        ([Revoked(9, ("1", "2"), (A,))], Revoked(9, ("1", "2"), (A,))),
        ([Revoked(9, ("2",))], Revoked(10, ("1", "2"), (A,))),
        ([Revoked(4, ("2",), (A,))], Revoked(5, ("1", "2"), (A,))),
        ([Revoked(2, ("3",)), Revoked(3, (), (), (C,))], Revoked(5, ("1", "3"), (A,), (C,))),
    ],
    ids=["none", "older", "newer", "newer with less", "same number", "two"],
)
def test_lists_are_joined_and_never_grow_shorter_or_older(lists, expected):
    state = AuthorityState("demo", revoked=Revoked(4, ("1",), (A,)))

    assert recovered(state, lists).revoked == expected


def edited(kits, edit):
    state = json.loads(state_file(kits).read_text())
    entries = {entry["name"]: entry for entry in state["known"]}
    edit(entries)
    state_file(kits).write_text(json.dumps(state))


def with_serial(entries):
    entries[STOLEN]["certificates"][0]["serial"] = "abc"


def with_certificate(entries):
    entries[STOLEN]["certificates"] = entries["site-2"]["certificates"]


def with_key(entries):
    entries[STOLEN]["tls_key"] = entries["site-2"]["tls_key"]


def with_text(entries):
    entries[STOLEN]["certificates"][0]["pem"] = "no certificate"


@pytest.mark.parametrize("edit", [with_serial, with_certificate, with_key, with_text])
def test_a_memory_that_contradicts_its_certificates_is_refused(kits, edit):
    edited(kits, edit)
    before = state_file(kits).read_bytes()

    with pytest.raises((KitError, CertificateError), match=STOLEN) as caught:
        call(revoke, kits, ToRevoke((STOLEN,)))
    assert caught.value.reason == "AUTHORITY_DAMAGED"
    assert "backup" in caught.value.hint
    assert state_file(kits).read_bytes() == before


@pytest.mark.parametrize("key", ["no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "\u00fc"])
def test_a_damaged_release_key_is_told_as_damage(kits, key):
    def with_release_key(entries):
        (admin,) = (entry for entry in entries.values() if entry["role"] == "admin")
        admin["release_key"] = key

    edited(kits, with_release_key)
    with pytest.raises(KitError, match="contradicts itself") as caught:
        call(provision, kits)
    assert caught.value.reason == "AUTHORITY_DAMAGED"


def test_a_newest_list_near_its_end_is_still_heard(kits):
    call(revoke, kits, ToRevoke((STOLEN,)))
    later = now() + timedelta(days=100)
    done = provision(kits.project_file, kits.out, now=later)

    assert done.revocations == 3
    assert newest_list(kits).revokes_certificate(serial(kits))
