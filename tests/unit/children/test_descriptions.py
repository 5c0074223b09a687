# SPDX-License-Identifier: Apache-2.0
"""What a child says of a network is a stranger's word."""

from __future__ import annotations

import json

import pytest

from mmar_runner.children.descriptions import (
    RuleFacts,
    facts_to_json,
    read_facts,
    read_reason,
    read_rule,
)
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts

FACTS = NetworkFacts(
    {"w": TensorFacts("F32", (2, 3)), "n": TensorFacts("I64")},
    by_name=True,
    kept=frozenset({"n"}),
    memory={"weights": 32},
    note="it was built in memory",
)


@pytest.mark.parametrize("facts", [FACTS, NetworkFacts({}, takes_any=True), None])
def test_what_is_said_arrives(facts):
    assert read_facts(json.loads(json.dumps(facts_to_json(facts)))) == facts


@pytest.mark.parametrize(
    "change",
    [
        {"known": "perhaps"},
        {"tensors": {"w": [2]}},
        {"tensors": [["w", "F32"]]},
        {"tensors": [["w", "F32", [2, -3]]]},
        {"tensors": [["w", "F32", [True]]]},
        {"tensors": [["w", "F32", [1 << 70]]]},
        {"tensors": [["w", "F32", [1] * 40]]},
        {"tensors": [[1, "F32", []]]},
        {"kept": [3]},
        {"memory": {"weights": -1}},
        {"memory": {"weights": "much"}},
        {"by_name": 1},
        {"note": None},
        {"note": "\ud800"},
        {"kept": ["\ud800"]},
        {"memory": {"\ud800": 1}},
        {"tensors": [["\ud800", "F32", []]]},
        {"tensors": [["w", "\ud800", []]]},
        {"tensors": [["w", "F32", []], ["w", "F32", [2]]]},
    ],
    ids=ascii,
)
def test_whatever_else_is_said_is_refused(change):
    with pytest.raises(TaskFailedError):
        read_facts({**facts_to_json(FACTS), **change})


def test_why_nothing_is_known_arrives():
    assert read_reason(facts_to_json(None, why="it builds it itself")) == "it builds it itself"
    assert read_reason(facts_to_json(FACTS)) == ""
    for why in (3, "\ud800", None):
        with pytest.raises(TaskFailedError):
            read_reason({"known": False, "why": why})


def test_a_note_of_any_length_is_cut():
    assert len(read_facts({**facts_to_json(FACTS), "note": "x" * 100_000}).note) == 1000


#: A round of so many clients would be tried, and so many tensors counted.
GIANT = (
    *({"least": 10**300}, {"least": -1}, {"least": True}, {"slots": 1 << 60}),
    *({"takes": "F32"}, {"takes": "\ud800"}, {"takes": ["I32"]}, {"excluded": ["\ud800"]}),
)


def test_what_an_aggregator_says():
    said = {"takes": "I32", "slots": 2, "excluded": ["b"], "least": 3}

    assert read_rule(said) == RuleFacts("I32", 2, frozenset({"b"}), 3)
    for change in ({"takes": 3}, {"slots": -1}, {"excluded": "b"}, {"least": None}, *GIANT):
        with pytest.raises(TaskFailedError):
            read_rule({**said, **change})
