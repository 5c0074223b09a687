# SPDX-License-Identifier: Apache-2.0
import sys
import types

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.doctor import diagnose, examine
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.workflow import Workflow


class Good(Workflow):
    def __init__(self, size, *, depth=2, rest=None):
        pass

    def participants(self, active, *, round_number, seed, per_round):
        return active


class Abstract(Workflow):
    pass


class Open(Good):
    def __init__(self, **anything):
        pass


@pytest.fixture(autouse=True)
def module(monkeypatch):
    made = types.ModuleType("doctor_targets")
    made.Good, made.Abstract, made.Open, made.Other = Good, Abstract, Open, dict
    monkeypatch.setitem(sys.modules, "doctor_targets", made)


def problems(target="Good", kind="workflow", **schema):
    registry = ComponentRegistry()
    registry.add(kind=kind, name="It", target=f"doctor_targets:{target}", args_schema=schema)
    return [p.message for p in examine(registry.find(kind, "It"))]


TRUE = {"size": {"type": "integer"}, "depth": {"type": "integer", "default": 2}, "rest": {}}


def test_what_is_right_has_no_problem():
    assert problems(properties=TRUE, required=["size"]) == []


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {**TRUE, "width": {}}, "required": ["size"]}, "'width' is in the schema"),
        ({"properties": {"size": {}, "rest": {}}, "required": ["size"]}, "takes 'depth'"),
        ({"properties": TRUE}, "'size' has no default"),
        ({"properties": TRUE, "required": ["size", "depth"]}, "requires 'depth'"),
        (
            {"properties": {**TRUE, "depth": {"default": 3}}, "required": ["size"]},
            "the default of 'depth' is 3; the constructor's is 2",
        ),
        (
            {"properties": {**TRUE, "rest": {"type": "int"}}, "required": ["size"]},
            "not JSON Schema 2020-12",
        ),
        (
            {
                "properties": {**TRUE, "rest": {"type": "string", "default": 1}},
                "required": ["size"],
            },
            "the default of argument 'rest' does not fit",
        ),
    ],
)
def test_schema_and_constructor_must_agree(schema, message):
    (found,) = problems(**schema)
    assert message in found


def test_other_problems():
    assert "does not implement participants" in problems("Abstract")[0]
    assert "is not a subclass" in problems("Other")[0]
    assert "cannot be imported" in problems("Missing")[0]


def test_a_constructor_that_takes_anything_is_not_compared():
    assert problems("Open", properties={"width": {}}) == []


def test_a_part_may_take_what_its_trainer_gives():
    assert problems(kind="optimizer", properties={"depth": {"default": 2}}) == []
    (found,) = problems(kind="optimizer", properties={"width": {}})
    assert "'width' is in the schema" in found


def test_a_prefix_must_be_installed():
    registry = ComponentRegistry()
    registry.add(kind="model", name="json.", path_prefix=True)
    registry.add(kind="model", name="no_such_package.nets.", path_prefix=True)
    found = [examine(d) for d in registry.descriptions()]
    assert [len(f) for f in found] == [0, 1]


def test_bundled_plugins_are_well():
    assert not [f"{p.subject}: {p.message}" for p in diagnose(load_plugins())]
