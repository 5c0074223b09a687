# SPDX-License-Identifier: Apache-2.0
"""A client gives one kind of share of a neighbour away, whatever is asked, and however often."""

import pytest

from mmar_runner.errors import DiskFullError
from mmar_runner_secagg.client_round import Held
from mmar_runner_secagg.payloads import Survivors, encode, read_revealed
from mmar_runner_secagg.reveal import Keeping, RefusedToRevealError, reveal

OWN = b"\x01" * 33
HELD = {name: Held(name.encode() * 33, name.upper().encode() * 33) for name in "bcdef"}


@pytest.fixture
def path(tmp_path):
    Keeping(HELD, OWN, threshold=4, least_clients=3, revealed={}).keep(tmp_path / "round")
    return tmp_path / "round"


def told(*here, clients=None):
    return encode(Survivors(clients or len(here) + 1, frozenset(here)))


def test_of_those_who_are_there_the_seed_and_of_those_who_are_not_the_key(path):
    given = read_revealed(reveal("a", told("b", "c", "d"), path))
    assert given.seeds == {"a": OWN, **{name: HELD[name].seed for name in "bcd"}}
    assert given.keys == {name: HELD[name].key for name in "ef"}


def test_the_same_question_has_the_same_answer_also_after_a_restart(path):
    assert reveal("a", told("b", "c", "d"), path) == reveal("a", told("b", "c", "d"), path)


@pytest.mark.parametrize("other", ["bce", "bcde", "def"])
def test_the_other_kind_of_a_share_is_never_given(path, other):
    reveal("a", told("b", "c", "d"), path)
    with pytest.raises(RefusedToRevealError, match="was given away before"):
        reveal("a", told(*other), path)


def test_what_is_given_is_on_the_disk_before_it_is_said(path):
    reveal("a", told("b", "c", "d"), path)
    kinds = dict.fromkeys("bcd", "seed") | dict.fromkeys("ef", "key")
    assert Keeping.read(path).revealed == kinds


def test_nothing_is_given_if_it_cannot_be_written_down(path, monkeypatch):
    def full(*_, **__):
        raise DiskFullError("the disk is full")

    monkeypatch.setattr("mmar_runner_secagg.reveal.write_bytes_atomic", full)
    with pytest.raises(DiskFullError):
        reveal("a", told("b", "c", "d"), path)
    assert not Keeping.read(path).revealed


def test_a_sum_of_too_few_is_not_unmasked(path):
    with pytest.raises(RefusedToRevealError, match="a sum of 3 updates"):
        reveal("a", told("b", "c"), path)
    with pytest.raises(RefusedToRevealError, match="a sum of 2 updates"):
        reveal("a", told("b", "c", "d", clients=2), path)


def test_strangers_are_no_survivors(path):
    with pytest.raises(RefusedToRevealError, match="no neighbours"):
        reveal("a", told("b", "c", "d", "x"), path)


@pytest.mark.parametrize("what", [b"", b"{}", b"[1]", b'{"held": {"b": ["", ""]}}', None])
def test_nothing_is_given_of_what_is_damaged_or_gone(path, what):
    if what is None:
        path.unlink()
    else:
        path.write_bytes(what)
    with pytest.raises(RefusedToRevealError, match="cannot be read"):
        reveal("a", told("b", "c", "d"), path)


def test_shares_are_for_nobody_else_to_read(path):
    assert path.stat().st_mode & 0o077 == 0
