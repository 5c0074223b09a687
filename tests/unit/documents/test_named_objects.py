# SPDX-License-Identifier: Apache-2.0
"""A name where an object with that name is wanted: the hint is what to write."""

from __future__ import annotations

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema

SERVER = {"servers": [{"name": "task", "num_rounds": 3}], "aggregator": {"name": "FedAvg"}}
CLIENT = {"servers": [{"name": "task"}], "client_trainer": {"name": "EchoTrainer"}}
ONE = ("aggregator", "model_persistor", "model_validator")
LISTS = ("handlers", "result_processors", "inbound_filters")


def hints(schema, value):
    return [fault.hint for fault in faults(load_schema(schema), value)]


@pytest.mark.parametrize("slot", [*ONE, *LISTS])
def test_every_slot_of_the_server(slot):
    written = ["Median"] if slot in LISTS else "Median"
    assert hints("config_fed_server", {**SERVER, slot: written}) == ['Write {"name": "Median"}.']


@pytest.mark.parametrize("slot", ["client_trainer", "outbound_filters"])
def test_every_slot_of_the_client(slot):
    written = "mine.Thing" if slot == "client_trainer" else ["mine.Thing"]
    assert hints("config_fed_client", {**CLIENT, slot: written}) == [
        'Write {"path": "mine.Thing"}.'
    ]


def test_a_slot_among_arguments():
    model = {"properties": {"model": {"type": "object", "x-component": "model"}}}
    assert [f.hint for f in faults(model, {"model": "MLP"})] == ['Write {"name": "MLP"}.']


@pytest.mark.parametrize("written", ["", "a b", '{"name": "FedAvg"}', 'x"', "{AGGREGATOR}"])
def test_what_no_name_can_be_is_not_repeated(written):
    (hint,) = hints("config_fed_server", {**SERVER, "aggregator": written})
    assert hint.startswith("Write an object")


def test_an_object_that_is_known_by_no_name_is_none():
    (hint,) = hints("config_fed_server", {**SERVER, "servers": ["task"]})
    assert hint == "Write an object."
