# SPDX-License-Identifier: Apache-2.0
"""What a line of the audit log may hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmar_runner.errors import AuditError
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit import log as audit_module
from mmar_runner.security.audit.line import Entry, Link, check_line, clean_data, clean_text, link
from mmar_runner.security.audit.log import AuditLog
from tests.unit.security.audit.logs import lines

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(who=st.text(max_size=900), values=st.lists(_VALUES, max_size=5))
def test_whatever_is_recorded_can_be_read_again_and_steers_no_screen(who, values):
    facts = clean_data({f"fact_{n}": value for n, value in enumerate(values)})
    entry = Entry(1.0, audit_module.clean_text(who), "", "Register", "noted", "", facts)
    line, end = link(entry, Link())
    value, checked = check_line(line[:-1], Link())
    assert checked == end
    assert len(line) < audit_file.MAX_LINE_BYTES
    assert line.count(b"\n") == 1
    assert all(letter.isprintable() for text in _texts(value) for letter in text)


def _texts(value):
    match value:
        case str():
            yield value
        case dict():
            for key, one in value.items():
                yield from _texts(key)
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)


@pytest.mark.parametrize("name", ["token", "session_key", "Password", "private_key", "api_secret"])
def test_what_is_named_like_a_secret_is_refused(path, name):
    with AuditLog(path) as log, pytest.raises(AuditError) as caught:
        log.record("Register", who="", **{name: "x"})
    assert caught.value.reason == "AUDIT_SECRET"
    assert lines(path) == []


def test_secrets_that_hide_deeper_are_withheld(path):
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQ"
    with AuditLog(path) as log:
        log.record("Register", who=key, peer=key, facts={"token": "hunter2", "text": key})
    assert b"hunter2" not in path.read_bytes()
    assert b"MC4CAQ" not in path.read_bytes()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("site 1, \u00e9\u4e2d", "site 1, \u00e9\u4e2d"),
        ("a\x1b[2J\nb", "a\\x1b[2J\\nb"),
        ("a\u202eb\u00a0c\u2028d", "a\\u202eb\\xa0c\\u2028d"),
    ],
)
def test_what_steers_a_screen_or_hides_is_escaped_and_the_rest_is_not(text, shown):
    assert clean_text(text) == shown


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"in": inner}])
def test_what_lies_too_deep_becomes_text(wrap):
    depths = [clean_data({"facts": nested(wrap, depth)})["facts"] for depth in (2, 3)]
    assert depths[0] == nested(wrap, 2)
    assert depths[1] == wrap(wrap(str(nested(wrap, 1))))


def nested(wrap, depth):
    value = 1
    for _ in range(depth):
        value = wrap(value)
    return value
