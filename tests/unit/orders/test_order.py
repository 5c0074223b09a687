# SPDX-License-Identifier: Apache-2.0
"""An order is believed for its signature, for a while, and for this project."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from mmar_runner.errors import SignatureError
from mmar_runner.orders.order import LIFE, MAX_ORDER_BYTES, MOST_LIFE, SKEW, signed
from mmar_runner.security.pki.envelope import key_id, sign
from mmar_runner.security.pki.keys import new_release_key
from tests.unit.orders.conftest import BOB, LEAD, NOW

MINUTE = timedelta(minutes=1)


def reason(office: Any, data: bytes, **at: Any) -> str:
    with pytest.raises(SignatureError) as refused:
        office.open(data, **at)
    assert refused.value.message.isprintable(), refused.value.message
    return str(refused.value.reason)


def test_what_was_signed_is_what_is_opened(office: Any) -> None:
    order = office.order("grep", "server", "-i", "über 'x'", "log.txt")
    assert office.open(signed(order, office.keys[LEAD])) == order


def test_two_orders_of_the_same_words_are_two(office: Any) -> None:
    assert office.order().id != office.order().id


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (timedelta(), True),
        (LIFE, True),
        (LIFE + SKEW, True),
        (LIFE + SKEW + timedelta(seconds=1), False),
        (-SKEW, True),
    ],
)
def test_how_long_an_order_holds(office: Any, after: timedelta, good: bool) -> None:
    data = signed(office.order(), office.keys[LEAD])
    if good:
        assert office.open(data, after=after).user == LEAD
    else:
        assert reason(office, data, after=after) == "ORDER_EXPIRED"


def test_an_order_of_tomorrow_is_too_early(office: Any) -> None:
    data = signed(office.order(), office.keys[LEAD])
    assert reason(office, data, after=-SKEW - timedelta(seconds=1)) == "ORDER_TOO_EARLY"


def test_an_order_of_a_stranger_is_nobodys(office: Any) -> None:
    assert reason(office, signed(office.order(), new_release_key())) == "SIGNER_NOT_TRUSTED"


def test_an_order_that_names_another_than_who_signed_it_is_refused(office: Any) -> None:
    assert reason(office, signed(office.order(), office.keys[BOB])) == "SIGNER_NOT_TRUSTED"


def test_a_revoked_key_signs_nothing(office: Any) -> None:
    office.revoked = (key_id(office.keys[LEAD].public_key()),)
    assert reason(office, signed(office.order(), office.keys[LEAD])) == "SIGNER_REVOKED"
    assert office.open(signed(office.order(user=BOB), office.keys[BOB])).user == BOB


def test_an_order_for_another_project_is_refused(office: Any) -> None:
    assert reason(office, office.raw(project="lung")) == "WRONG_PROJECT"


def test_something_else_that_was_signed_is_no_order(office: Any) -> None:
    """An MMAR's manifest, for instance, by the same key."""
    data = office.raw(kind="application/vnd.mmar-runner.mmar+json")
    assert reason(office, data) == "TYPE"
    assert reason(office, office.raw(type="mmar")) == "FORMAT"


MALFORMED = {
    "no_words": {"words": []},
    "a_word_that_is_none": {"words": ["x", 5]},
    "words_that_are_one": {"words": "check_status"},
    "too_many_words": {"words": ["x"] * 1001},
    "a_word_too_long": {"words": ["x" * 4097]},
    "no_id": {"id": None},
    "a_short_id": {"id": "ab"},
    "an_id_that_climbs": {"id": "../../../../../../../../../../x"},
    "no_user": {"user": None},
    "one_key_more": {"server": True},
    "no_time": {"issued": "today"},
    "a_time_without_a_zone": {"issued": "2026-11-28T12:00:00"},
    "a_number_for_a_time": {"expires": 5},
    "over_before_it_begins": {"expires": (NOW - MINUTE).isoformat()},
    "good_for_ever": {"expires": "9999-12-31T23:59:59+00:00"},
    "good_for_ever_and_longer": {"expires": "9999-12-31T23:59:59.999999-23:59"},
    "since_ever": {"issued": "0001-01-01T00:00:00+23:59"},
    "good_for_too_long": {"expires": (NOW + MOST_LIFE + MINUTE).isoformat()},
    "a_year_of_five_digits": {"expires": "10000-01-01T00:00:00+00:00"},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_payload_that_is_no_order_is_refused_with_its_reason(office: Any, case: str) -> None:
    assert reason(office, office.raw(**MALFORMED[case])) == "FORMAT"


def test_the_longest_life_is_taken(office: Any) -> None:
    assert office.open(office.raw(expires=(NOW + MOST_LIFE).isoformat())).user == LEAD


def test_an_order_is_short(office: Any) -> None:
    assert reason(office, b" " * (MAX_ORDER_BYTES + 1)) == "FORMAT"
    assert reason(office, office.raw(words=["x" * 4096] * 12)) == "FORMAT"


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"{" * 50_000])
def test_bytes_that_are_no_envelope_are_refused(office: Any, data: bytes) -> None:
    assert reason(office, data) == "FORMAT"


def test_a_key_that_stands_twice_is_refused(office: Any) -> None:
    """Two readers would read two different orders."""
    payload = json.loads(office.raw())
    text = b'{"type": "order", "user": "x@y", "user": "%s"}' % LEAD.encode()
    data = sign(payload["payloadType"], text, [office.keys[LEAD]]).to_json()
    assert reason(office, data) == "FORMAT"


@pytest.mark.parametrize("field", ["user", "project"])
def test_what_would_write_to_a_terminal_is_told_harmlessly(office: Any, field: str) -> None:
    assert reason(office, office.raw(**{field: "x\x1b[2J\n"}))


def test_who_signed_beside_the_author_changes_nothing(office: Any) -> None:
    """A signature may be added; whose order it is stays."""
    payload = json.dumps(
        {
            "type": "order",
            "project": "heart",
            "user": LEAD,
            "words": ["watch"],
            "id": "1" * 32,
            "issued": NOW.isoformat(),
            "expires": (NOW + MINUTE).isoformat(),
        }
    ).encode()
    kind = json.loads(office.raw())["payloadType"]
    both = sign(kind, payload, [office.keys[LEAD], office.keys[BOB]]).to_json()
    assert office.open(both).user == LEAD
    office.revoked = (key_id(office.keys[LEAD].public_key()),)
    assert reason(office, both) == "SIGNER_NOT_TRUSTED"
