# SPDX-License-Identifier: Apache-2.0
"""The list of what no longer counts: whose it is, and that it never goes back."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.errors import SignatureError
from mmar_runner.security.pki.envelope import sign
from mmar_runner.security.pki.issuing import make_root
from mmar_runner.security.pki.keys import new_tls_key
from mmar_runner.security.pki.revocation import (
    MAX_LIST_BYTES,
    REVOCATIONS_TYPE,
    RevocationList,
    RevocationMemory,
    read_revocations,
    sign_revocations,
)

NOW = datetime(2026, 11, 24, 12, 30, 15, 123456, tzinfo=UTC)
DIGEST, KEY = "d" * 64, "e" * 64
KEPT = RevocationList("lungs", 3, NOW, NOW + timedelta(days=90), ("1a", "2b"), (KEY,), (DIGEST,))


@pytest.fixture(scope="module")
def key():
    return new_tls_key()


@pytest.fixture(scope="module")
def root(key):
    return make_root(key, "lungs", NOW, timedelta(days=10))


@pytest.fixture
def memory(tmp_path, key, root):
    (tmp_path / "state").mkdir()
    (tmp_path / "kit.json").write_bytes(sign_revocations(KEPT, key))

    def opened():
        return RevocationMemory(tmp_path / "kit.json", tmp_path / "state", root)

    return opened


def reason(call, *arguments):
    with pytest.raises(SignatureError) as caught:
        call(*arguments)
    return caught.value.reason


def test_the_list_of_another_project_in_a_kit_is_named(memory, tmp_path):
    (tmp_path / "kit.json").write_bytes(sign_revocations(KEPT, new_tls_key()))

    with pytest.raises(SignatureError) as caught:
        memory()

    assert caught.value.reason == "SIGNER_NOT_TRUSTED"
    assert caught.value.message.startswith(f"{tmp_path / 'kit.json'} is no list")
    assert "ask the project's office" in caught.value.hint


def test_a_list_comes_back_as_it_was_signed(key, root):
    found = read_revocations(sign_revocations(KEPT, key), root)

    assert found == KEPT
    assert found.revokes_certificate("1a")
    assert not found.revokes_certificate("1")
    assert found.revokes_key(KEY)
    assert not found.revokes_key(DIGEST)
    assert found.revokes_digest(DIGEST)
    assert not found.revokes_digest(KEY)


def test_a_list_that_is_not_renewed_becomes_stale():
    assert not KEPT.stale(KEPT.expires - timedelta(seconds=1))
    assert KEPT.stale(KEPT.expires)


def test_a_list_of_somebody_else_is_refused(root):
    data = sign_revocations(KEPT, new_tls_key())

    assert reason(read_revocations, data, root) == "SIGNER_NOT_TRUSTED"


def test_a_changed_list_is_refused(key, root):
    data = sign_revocations(KEPT, key).replace(b'"payload": "eyJ', b'"payload": "eyK')

    assert reason(read_revocations, data, root) == "SIGNER_NOT_TRUSTED"


def test_what_was_signed_as_something_else_is_no_list(key, root):
    data = sign("application/vnd.mmar-runner.kit+json", b"{}", [key]).to_json()

    assert reason(read_revocations, data, root) == "TYPE"


def payload(**changes):
    value = {
        "project": "p",
        "version": 1,
        "created": NOW.isoformat(),
        "expires": NOW.isoformat(),
        "serials": [],
        "key_ids": [],
        "digests": [],
    }
    return json.dumps({**value, **changes}).encode()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"{}",
        b"[]",
        b"not JSON",
        payload()[:-1] + b', "version": 2}',
        payload(created="2026-01-01T00:00:00"),
        payload(expires="soon"),
        payload(version=0),
        payload(serials=["0xAB"]),
        payload(more=1),
    ],
    ids=["empty", "list", "text", "twice", "no-zone", "no-time", "zero", "serial", "more"],
)
def test_even_the_root_cannot_sign_nonsense(key, root, nonsense):
    read_revocations(sign(REVOCATIONS_TYPE, payload(), [key]).to_json(), root)
    data = sign(REVOCATIONS_TYPE, nonsense, [key]).to_json()

    assert reason(read_revocations, data, root) == "FORMAT"


def test_an_endless_list_is_not_even_looked_at(root):
    assert reason(read_revocations, b" " * (MAX_LIST_BYTES + 1), root) == "FORMAT"


def test_a_newer_list_counts_at_once_and_after_a_restart(memory, key):
    held = memory()
    newer = replace(KEPT, version=4, serials=("3c",))
    data = sign_revocations(newer, key)

    assert held.offer(data)
    assert held.current == newer
    assert held.data == data
    assert memory().current == newer


def test_a_newer_list_is_on_the_disk_before_it_counts(memory, key, monkeypatch):
    held, synced = memory(), []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(sync(descriptor)))
    assert held.offer(sign_revocations(replace(KEPT, version=4), key))
    assert len(synced) >= 2  # the file and its name


def test_the_same_list_again_is_no_news(memory, key):
    held = memory()

    assert not held.offer(held.data)
    assert not held.offer(sign_revocations(KEPT, key))
    assert held.current == KEPT


def test_an_older_list_is_refused_even_after_a_restart(memory, key):
    memory().offer(sign_revocations(replace(KEPT, version=9), key))

    assert reason(memory().offer, sign_revocations(replace(KEPT, version=8), key)) == (
        "VERSION_ROLLBACK"
    )
    assert memory().current.version == 9


def test_two_lists_of_one_version_that_differ_are_refused(memory, tmp_path, key):
    held = memory()
    other = sign_revocations(replace(KEPT, serials=("99",)), key)

    assert reason(held.offer, other) == "VERSION_REUSED"
    assert held.current == KEPT
    held.offer(sign_revocations(replace(KEPT, version=4), key))
    (tmp_path / "kit.json").write_bytes(
        sign_revocations(replace(KEPT, version=4, serials=("99",)), key)
    )
    assert reason(memory) == "VERSION_REUSED"


def test_a_list_that_is_not_the_roots_changes_nothing(memory):
    held = memory()
    forged = sign_revocations(replace(KEPT, version=99, serials=()), new_tls_key())

    assert reason(held.offer, forged) == "SIGNER_NOT_TRUSTED"
    assert held.current == KEPT
    assert memory().current == KEPT


def test_a_newer_list_in_the_kit_beats_an_older_memory(memory, tmp_path, key):
    memory().offer(sign_revocations(replace(KEPT, version=4), key))
    (tmp_path / "kit.json").write_bytes(sign_revocations(replace(KEPT, version=5), key))

    assert memory().current.version == 5


def test_what_one_process_has_kept_no_other_takes_back(memory, tmp_path, key):
    """The clients of one site share the file, and each has a memory of its own."""
    one, other = memory(), memory()
    newest = sign_revocations(replace(KEPT, version=7), key)
    assert one.offer(newest)
    older = sign_revocations(replace(KEPT, version=6), key)

    assert other.offer(older)  # something newer counts there now: what the first has kept
    assert other.current.version == 7
    assert (tmp_path / "state" / "revocations.json").read_bytes() == newest
    assert reason(other.offer, older) == "VERSION_ROLLBACK"


def test_a_list_that_another_process_has_kept_already_is_news_here(memory, key):
    one, other = memory(), memory()
    data = sign_revocations(replace(KEPT, version=4), key)

    assert one.offer(data)
    assert other.offer(data)
    assert other.current.version == 4


def test_two_processes_never_keep_different_lists_of_one_version(memory, key):
    one, other = memory(), memory()
    one.offer(sign_revocations(replace(KEPT, version=4), key))
    differing = sign_revocations(replace(KEPT, version=4, serials=("99",)), key)

    assert reason(other.offer, differing) == "VERSION_REUSED"


def test_lists_that_are_offered_at_once_end_with_the_newest(memory, key):
    lists = [sign_revocations(replace(KEPT, version=number), key) for number in range(4, 12)]
    memories = [memory() for _ in lists]
    with ThreadPoolExecutor(len(lists)) as pool:
        assert all(pool.map(RevocationMemory.offer, memories, lists))

    assert memory().current.version == 11


def test_a_kept_list_that_was_damaged_since_holds_no_newer_one_up(memory, tmp_path, key):
    held = memory()
    (tmp_path / "state" / "revocations.json").write_bytes(b"{}")

    assert held.offer(sign_revocations(replace(KEPT, version=4), key))
    assert memory().current.version == 4
