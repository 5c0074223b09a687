# SPDX-License-Identifier: Apache-2.0
"""Which tensors keep the global model's values, whatever expression an MMAR gives."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.server.components.exclusion import excluded_names, expressions

NAMES = ("body.weight", "head.weight", "head.bias", "x" * 256)
#: What takes longer than the universe exists for a name of 256 letters.
HANGS = "(.|.|.|.|.|.|.|.)*!"


def excluded(tmp_path, declared, *others):
    return asyncio.run(excluded_names(declared, others, NAMES, tmp_path / "log"))


def test_a_name_in_which_the_expression_is_found_is_excluded(tmp_path):
    assert excluded(tmp_path, "^head", "bias") == {"head.weight", "head.bias"}
    assert excluded(tmp_path, None, "bias") == frozenset()


def test_without_an_expression_no_child_is_started(tmp_path):
    assert excluded(tmp_path, None) == frozenset()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [(HANGS,), (None, HANGS), ("head", HANGS)])
def test_an_expression_that_takes_for_ever_ends_the_run_and_not_the_server(tmp_path, given):
    begun = monotonic()

    with pytest.raises(RunFailedError, match="takes too long") as caught:
        excluded(tmp_path, *given)

    assert caught.value.reason == "EXPRESSION_TOO_SLOW"
    assert HANGS in caught.value.message
    assert monotonic() - begun < 60


def test_the_expressions_of_a_component_are_those_that_its_schema_calls_so():
    catalog = load_plugins().registry
    args = {"exclude_vars": "head", "expected_data_kind": "WEIGHTS"}
    declared = {"name": "FedAvg", "args": args}

    assert list(expressions(catalog, ComponentKind.AGGREGATOR, declared)) == ["head"]
    nothing = {"name": "FedAvg", "args": {"exclude_vars": ""}}
    assert list(expressions(catalog, ComponentKind.AGGREGATOR, nothing)) == []


def test_components_within_components_are_looked_at_too():
    catalog = ComponentRegistry()
    regex = {"type": "string", "format": "regex"}
    inner = {"type": "object", "properties": {"skip": regex}}
    outer = {"type": "object", "properties": {"rule": {"x-component": "aggregator"}}}
    catalog.add(kind="aggregator", name="Inner", target="a:A", args_schema=inner)
    catalog.add(kind="aggregator", name="Outer", target="a:B", args_schema=outer)
    rule = {"name": "Inner", "args": {"skip": "x"}}
    declared = {"name": "Outer", "args": {"rule": rule}}

    assert list(expressions(catalog, ComponentKind.AGGREGATOR, declared)) == ["x"]
