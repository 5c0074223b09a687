# SPDX-License-Identifier: Apache-2.0
"""Older arguments are read as what they are now, with a note where they stand."""

from __future__ import annotations

import json

import pytest

from mmar_runner.documents.json_reader import read_json
from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.mmar.components.upgrades import upgrade_arguments, upgrade_identity
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings

_PATH = ("part",)


def _document(declaration):
    source = read_json(json.dumps({"part": declaration}, indent=1))
    return Document("config/config_train.json", source, {"part": declaration})


def _described(rules, **extras):
    return ComponentDescription(
        ComponentKind.TRANSFORM, "AsDiscreted", "m:C", {}, extras={"upgrades": rules, **extras}
    )


def _upgraded(rules, args):
    document, findings = _document({"name": "AsDiscreted", "args": args}), Findings()
    upgrade_arguments(document, _PATH, _described(rules), findings)
    return document, findings.result(strict=False)


def test_a_renamed_argument_keeps_its_place():
    document, (note,) = _upgraded(
        [{"rename": {"dimensions": "spatial_dims"}, "note": "since 0.6"}], {"dimensions": 3, "a": 1}
    )

    assert document.value["part"]["args"] == {"spatial_dims": 3, "a": 1}
    assert document.origin((*_PATH, "args", "spatial_dims")) == (*_PATH, "args", "dimensions")
    assert (note.code, str(note.severity), note.pointer) == (
        "MMAR213",
        "note",
        "/part/args/dimensions",
    )
    assert note.message == "'dimensions' is now 'spatial_dims' (since 0.6)."
    assert note.line == 5


def test_the_newer_of_two_names_counts():
    document, (note,) = _upgraded(
        [{"rename": {"dimensions": "spatial_dims"}}], {"dimensions": 3, "spatial_dims": 2}
    )

    assert document.value["part"]["args"] == {"spatial_dims": 2}
    assert "stands here too" in note.message


_JOIN = [{"into": "to_onehot", "from": "n_classes", "when": True}]


@pytest.mark.parametrize(
    ("args", "made"),
    [
        ({"to_onehot": True, "n_classes": 2}, {"to_onehot": 2}),
        ({"to_onehot": False, "n_classes": 2}, {"to_onehot": None}),
        ({"n_classes": 2}, {"to_onehot": None}),
        ({"to_onehot": False}, {"to_onehot": None}),
        ({"to_onehot": [True, False], "n_classes": 2}, {"to_onehot": [2, None]}),
        ({"to_onehot": True, "n_classes": [2, 3]}, {"to_onehot": [2, 3]}),
        ({"to_onehot": [True, True], "n_classes": [2, 3]}, {"to_onehot": [2, 3]}),
    ],
)
def test_a_number_takes_the_place_of_its_switch(args, made):
    document, notes = _upgraded(_JOIN, dict(args))

    assert document.value["part"]["args"] == made
    assert [note.code for note in notes] == ["MMAR213"]


@pytest.mark.parametrize(
    "args",
    [
        {"to_onehot": 2},
        {"to_onehot": None},
        {},
        {"to_onehot": True},  # of how many classes is not known
        {"to_onehot": [True, True], "n_classes": [2, 3, 4]},
        {"to_onehot": "{ONE_HOT}", "n_classes": 2},  # which may be on
    ],
)
def test_what_is_new_or_not_clear_stays_as_it_is(args):
    document, notes = _upgraded(_JOIN, dict(args))

    assert document.value["part"]["args"] == args
    assert not notes


def test_a_switch_alone_may_have_a_number_of_its_own():
    rules = [{"into": "threshold", "from": "logit_thresh", "when": True, "or": 0.5}]

    assert _upgraded(rules, {"threshold": True})[0].value["part"]["args"] == {"threshold": 0.5}


@pytest.mark.parametrize(
    ("value", "left"), [(False, {}), (None, {}), (True, {"sigmoid": True}), (0, {"sigmoid": 0})]
)
def test_an_argument_is_left_out_where_it_changed_nothing(value, left):
    document, notes = _upgraded([{"drop": ["sigmoid"], "is": [False, None]}], {"sigmoid": value})

    assert document.value["part"]["args"] == left
    assert len(notes) == (not left)


def test_rules_are_applied_once():
    document, _ = _upgraded(_JOIN, {"to_onehot": True, "n_classes": 2})
    again = Findings()

    upgrade_arguments(document, _PATH, _described(_JOIN), again)

    assert not again.result(strict=False)
    assert document.value["part"]["args"] == {"to_onehot": 2}


def test_arguments_may_be_made():
    document, findings = _document({"name": "AddChanneld"}), Findings()

    upgrade_arguments(document, _PATH, _described([{"set": {"channel_dim": "no"}}]), findings)

    assert document.value["part"] == {"name": "AddChanneld", "args": {"channel_dim": "no"}}
    assert document.origin((*_PATH, "args", "channel_dim")) == _PATH


@pytest.mark.parametrize(
    ("declared", "made"),
    [
        ({"name": "AddChanneld"}, {"name": "EnsureChannelFirstd#AddChanneld"}),
        ({"name": "AddChanneld#Two"}, {"name": "EnsureChannelFirstd#Two"}),
        ({"path": "frame.AddChanneld"}, {"path": "frame.new.EnsureChannelFirstd"}),
    ],
)
def test_a_component_is_declared_as_the_one_that_took_its_place(declared, made):
    document, findings = _document(dict(declared)), Findings()
    newer = ComponentDescription(
        ComponentKind.TRANSFORM, "EnsureChannelFirstd", "frame.new:EnsureChannelFirstd", {}
    )

    upgrade_identity(document, _PATH, _described([]), newer, findings)

    assert document.value["part"] == made
    (note,) = findings.result(strict=False)
    assert note.code == "MMAR213"
    assert "is now 'EnsureChannelFirstd'" in note.message
