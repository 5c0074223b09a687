# SPDX-License-Identifier: Apache-2.0
"""Privacy budgets that the rounds of a run would pass, found before anything runs."""

from __future__ import annotations

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.interfaces.tags import Tag
from mmar_runner.mmar.checks.case import Asked
from tests.unit.mmar.conftest import _COMPONENTS, FakeCatalog

_NUMBER = {"type": "number", "exclusiveMinimum": 0}
_DELTA = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 1e-5}
_PROPERTIES = {
    "noise": _NUMBER,
    "epsilon": _NUMBER,
    "delta": _DELTA,
    "sampled": {"type": "boolean", "default": False},
}
_SPENDS = {"noise": "noise", "budget": "epsilon", "delta": "delta", "unless": "sampled"}


def _one(kind, name, **extras):
    schema = {"type": "object", "properties": _PROPERTIES, "additionalProperties": False}
    return ComponentDescription(
        ComponentKind(kind), name, f"not_there:{name}", schema, extras=extras
    )


_MORE = (
    _one("filter", "Private", spends=_SPENDS | {"sensitivity": 2}),
    _one("aggregator", "PrivateMean", spends=_SPENDS),
    _one("workflow", "Turns", tags=[Tag.ONE_AT_A_TIME]),
)


@pytest.fixture
def job(mmar):
    mmar.catalog = FakeCatalog((*_COMPONENTS, *_MORE))
    filters = [{"name": "Private", "args": {"noise": 4, "epsilon": 10}}]
    mmar.client["client"]["outbound_filters"] = filters
    mmar.server["aggregator"] = {"name": "FedAvg"}
    mmar.task["num_rounds"] = 30
    return mmar


def test_a_filter_whose_budget_ends_before_the_run(job):
    found = job.only()

    assert (found.code, found.pointer) == ("MMAR653", "/client/outbound_filters/0/args/epsilon")
    assert "30 rounds of 'Private' spend an epsilon of 14.83, and it is given 10" in found.message
    assert "It lasts for 16 rounds." in found.hint


def test_as_many_rounds_as_it_lasts_for_are_sound(job):
    job.task["num_rounds"] = 16
    assert job.findings() == ()
    job.task["num_rounds"] = 17
    assert job.only().code == "MMAR653"


def test_rounds_are_counted_from_the_first(job):
    job.task["start_round"] = 14
    assert job.findings() == ()


def test_a_budget_for_no_round(job):
    job.client["client"]["outbound_filters"][0]["args"]["epsilon"] = 0.1
    assert "It lasts for none." in job.only().hint


def test_clients_that_are_drawn_or_take_turns_are_not_in_every_round(job):
    job.server["clients_per_round"] = 2
    assert job.findings() == ()
    del job.server["clients_per_round"]
    job.server["workflow"] = {"name": "Turns"}
    assert job.findings() == ()


def test_an_aggregator_spends_in_every_round_unless_it_counts_the_sampling(job):
    job.client["client"]["outbound_filters"] = []
    args = {"noise": 1.0, "epsilon": 5}
    job.server["aggregator"] = {"name": "PrivateMean", "args": args}
    job.server["clients_per_round"] = 2
    assert job.only().pointer == "/aggregator/args/epsilon"
    args["sampled"] = True
    assert job.findings() == ()


def test_a_run_that_never_stops_spends_everything(job):
    job.task["num_rounds"] = -1
    assert "A run without an end spends any budget" in job.only().message


@pytest.mark.parametrize("slot", ["inbound_filters", "outbound_filters"])
def test_filters_of_the_server_spend_too(job, slot):
    job.server[slot] = job.client["client"].pop("outbound_filters")
    job.client["client"]["outbound_filters"] = []
    assert (job.only().code, job.only().pointer) == ("MMAR653", f"/{slot}/0/args/epsilon")
    job.server["clients_per_round"] = 2  # the result passes in every round, an update does not
    assert [f.code for f in job.findings()] == (["MMAR653"] if slot.startswith("out") else [])


def test_filters_of_what_arrives_at_a_client_spend_too(job):
    job.client["client"]["inbound_filters"] = job.client["client"]["outbound_filters"]
    job.client["client"]["outbound_filters"] = []
    assert job.only().pointer == "/client/inbound_filters/0/args/epsilon"


def test_a_best_local_model_leaves_once(job):
    private = {"name": "Private", "args": {"noise": 4, "epsilon": 10}}
    job.client["client"]["outbound_filters"] = []
    job.client["cross_validate"] = True
    section = {"is_participating": True, "outbound_filters": [private]}
    job.client["cross_site_validation"] = section
    assert "MMAR653" not in {f.code for f in job.findings()}
    private["args"]["epsilon"] = 1.0
    found = [f for f in job.findings() if f.code == "MMAR653"]
    assert found[0].pointer == "/cross_site_validation/outbound_filters/0/args/epsilon"
    assert found[0].message.startswith("1 round of 'Private'")


def test_the_rounds_that_are_asked_for_count_and_not_those_of_the_file(job):
    assert job.findings(asked=Asked(rounds=16)) == ()
    assert "17 rounds of 'Private' spend" in job.only(asked=Asked(rounds=17)).message
    job.task["num_rounds"] = -1
    assert job.findings(asked=Asked(rounds=16)) == ()
    assert job.findings(asked=Asked(rounds=17, clients_per_round=2)) == ()
