# SPDX-License-Identifier: Apache-2.0
"""What a server tells is read strictly: a hostile one harms nobody, and asks no less."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.console import told
from mmar_runner.errors import ProtocolError
from mmar_runner.interfaces.admin_event import Missing, Progress, Status, Table, Text, Value
from mmar_runner.orders.commands import BUILT_IN

EVENTS = [
    Text("hello"),
    Table(("a", "b"), [["1", "2"]], "title"),
    Value({"a": [1, None]}),
    Progress("upload", 1, 2, "bytes"),
    Status({"status": "running"}),
    Missing("site-1", "SILENT", "it is silent"),
]


def coded(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_kind_of_event_is_read(event):
    assert told.event(coded(event.to_json())) == event.to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"kind": 3}',
        b'{"kind": "unheard"}',
        b'{"kind": "text"}',
        b'{"kind": "text", "text": 3}',
        b'{"kind": "text", "text": "a", "text": "b"}',
        b'{"kind": "end", "status": "done", "seconds": -1, "at": ""}',
        b'{"kind": "progress", "what": "", "done": NaN, "total": 1, "unit": ""}',
        coded({"kind": "table", "title": "", "columns": ["a"], "rows": [["1", "2"]]}),
        coded({"kind": "table", "title": "", "columns": ["a"], "rows": [[1]]}),
        coded({"kind": "text", "text": "x" * (5 << 20)}),
        b'{"kind": "value", "value": {' + b'"a":' * 1000 + b"}}",
    ],
)
def test_what_is_no_event_is_refused(data):
    with pytest.raises(ProtocolError):
        told.event(data)


def test_commands_are_read_as_they_are():
    specs = told.commands(coded([spec.to_json() for spec in BUILT_IN.values()]))
    assert dict(specs) == dict(BUILT_IN)


def test_a_server_cannot_make_the_console_ask_less():
    tame = [{**spec.to_json(), "destructive": False} for spec in BUILT_IN.values()]
    specs = told.commands(coded(tame))
    assert specs["shutdown"].destructive
    assert not specs["watch"].destructive


def test_a_server_cannot_make_the_console_ask_in_other_words():
    """Such as without whom it is addressed to, so that y is enough."""
    vague = {"targets": "none", "free": True, "destructive": False, "summary": "Look."}
    specs = told.commands(coded([{**BUILT_IN["shutdown"].to_json(), **vague}]))
    assert specs["shutdown"] == BUILT_IN["shutdown"]


def test_a_number_that_cannot_be_said_is_none():
    huge = {"name": "N", "kind": "int", "many": False, "optional": False, "least": 10**400}
    spec = {**BUILT_IN["watch"].to_json(), "name": "ping", "parameters": [{**huge, "summary": ""}]}
    with pytest.raises(ProtocolError):
        told.commands(coded([spec]))


PING = {**BUILT_IN["watch"].to_json(), "name": "ping"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        [3],
        [{}],
        [{**PING, "name": "two words"}],
        [{**PING, "name": "\x1b[2J"}],
        [{**PING, "name": 3}],
        [{**PING, "summary": None}],
        [{**PING, "right": "all"}],
        [{**PING, "targets": "everybody"}],
        [{**PING, "examples": [3]}],
        [{**PING, "parameters": [{"name": 3}]}],
        [{**PING, "parameters": [{"name": "N", "kind": "code"}]}],
        [{**PING, "parameters": [{"name": "N", "least": "1"}]}],
        [{**PING, "more": 1}],
        [PING] * 1001,
    ],
)
def test_what_is_no_list_of_commands_is_refused(value):
    with pytest.raises(ProtocolError):
        told.commands(coded(value))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from([told.event, told.commands]))
def test_whatever_comes_is_read_or_refused(value, read):
    with suppress(ProtocolError):
        read(coded(value))
