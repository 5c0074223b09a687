# SPDX-License-Identifier: Apache-2.0
"""Archives of generation 3.1 are read as those of generation 4, with a note per key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.mmar.spec import Generation
from mmar_runner.mmar.validation import validate

OLDER = Path(__file__).parents[2] / "assets" / "mmars" / "older"
SERVER = "config/config_fed_server.json"
CLIENT = "config/config_fed_client.json"


@pytest.fixture
def catalog(mmar):
    """A catalog that also has the trainer which older archives do not name."""
    schema = {
        "type": "object",
        "properties": {
            "local_epochs": {"type": "integer", "minimum": 1},
            "steps_aggregation": {"type": "integer"},
        },
    }
    trainer = ComponentDescription(ComponentKind.CLIENT_TRAINER, "ClientTrainer", "x:Y", schema)
    return type(mmar.catalog)((*mmar.catalog._components, trainer))


def names(components):
    return [component.name for component in components]


def test_the_older_server_file_becomes_a_specification(catalog):
    checked = validate(OLDER, catalog)
    server = checked.spec.server

    assert checked.report.generation is Generation.CLARA_3
    assert not [f for f in checked.report.findings if f.severity == "error"]
    assert (server.task_name, server.start_round, server.num_rounds) == ("lesion", 1, 5)
    assert server.exclude_vars == "head"
    assert server.validate_every == 2
    assert server.aggregator.name == "FedAvg"
    assert server.model_persistor.name == "Persistor"
    assert names(server.outbound_filters) == ["Lock", "Pack"]
    assert names(server.inbound_filters) == ["Unpack", "Unlock"]


def test_the_older_client_file_becomes_a_specification(catalog):
    client = validate(OLDER, catalog).spec.client

    assert client.client_trainer.declaration == {
        "name": "ClientTrainer",
        "args": {"local_epochs": 5, "steps_aggregation": 0},
    }
    assert names(client.outbound_filters) == ["Scale", "Lock", "Pack"]
    assert names(client.inbound_filters) == ["Unpack", "Unlock"]
    assert client.cross_validate
    assert client.model_validator.name == "Judge"


def test_every_older_key_has_its_note_where_it_stands(catalog):
    report = validate(OLDER, catalog).report
    notes = {(f.file, f.pointer) for f in report.findings if f.severity == "note"}

    assert not [f for f in report.findings if f.severity != "note"]
    task = "/servers/0"
    on_server = {
        *(f"{task}/{key}" for key in ("ssl_cert", "exclude_vars", "num_server_workers")),
        *(f"{task}/{key}" for key in ("validate_on_server", "num_rounds_per_valid", "compression")),
        *("/pre_processors", "/post_processors", "/model_saver", "/admin_cmd_modules"),
        "/aggregator/name",
    }
    text = json.loads((OLDER / CLIENT).read_text())
    on_client = {f"/client/{key}" for key in text["client"]}
    on_client.add("/client/pre_processors/0/name")
    assert notes == {(SERVER, p) for p in on_server} | {(CLIENT, p) for p in on_client}


def test_findings_in_moved_parts_point_at_the_file_as_it_is(mmar, catalog):
    server = json.loads((OLDER / SERVER).read_text())
    client = json.loads((OLDER / CLIENT).read_text())
    server["model_saver"]["args"] = {"modle": 1}
    client["client"]["local_epochs"] = 0
    client["client"]["privacy"]["args"]["factor"] = "half"
    client["client"]["pre_processors"][1]["name"] = "Lokc"
    mmar.server, mmar.client, mmar.catalog = server, client, catalog

    wrong = [f for f in mmar.findings() if f.severity == "error"]
    found = [(f.code, f.pointer) for f in wrong]

    assert found == [
        ("MMAR514", "/client/local_epochs"),
        ("MMAR513", "/client/privacy/args/factor"),
        ("MMAR501", "/client/pre_processors/1/name"),
        ("MMAR512", "/model_saver/args/modle"),
    ]


def test_an_implied_trainer_that_is_not_installed_is_named_once(mmar):
    report = validate(OLDER, mmar.catalog).report
    errors = [f for f in report.findings if f.severity == "error"]

    assert [(f.code, f.pointer) for f in errors] == [("MMAR501", "/client")]


def test_excluded_variables_of_a_client_become_a_filter(mmar, catalog):
    mmar.server = json.loads((OLDER / SERVER).read_text())
    mmar.client = json.loads((OLDER / CLIENT).read_text())
    mmar.client["client"]["exclude_vars"] = "head"

    errors = [f for f in mmar.findings() if f.severity == "error" and "Exclude" in f.message]

    assert [(f.code, f.pointer) for f in errors] == [("MMAR501", "/client/exclude_vars")]


def test_files_of_two_generations_are_told(mmar):
    mmar.client["client"]["cross_site_validate"] = False
    del mmar.client["client_trainer"], mmar.client["format_version"]

    codes = [f.code for f in mmar.findings()]

    assert "MMAR203" in codes


def test_another_systems_job_is_refused_in_one_sentence(mmar):
    mmar.server = {"format_version": 2, "workflows": [], "components": [], "server": {}}
    mmar.client = {"format_version": 2, "executors": [], "components": []}

    checked = mmar.check()

    assert [(f.code, f.pointer) for f in checked.report.findings] == [
        ("MMAR201", "/format_version")
    ] * 2
    assert checked.report.generation is None
    assert checked.spec is None


def test_a_newer_files_older_spellings_are_understood(mmar):
    mmar.server["persistor"] = mmar.server.pop("model_persistor")
    mmar.server["num_rounds"] = mmar.task.pop("num_rounds")
    mmar.server["shareable_generator"] = {"name": "FullModelShareableGenerator"}
    mmar.server["workflow"] = "ScatterAndGather"

    checked = mmar.check()

    assert [(f.code, f.pointer) for f in checked.report.findings] == [
        ("MMAR210", "/persistor"),
        ("MMAR211", "/shareable_generator"),
    ]
    assert checked.spec.server.num_rounds == 3
    assert checked.spec.server.workflow.declaration == {"name": "ScatterAndGather", "args": {}}
    mmar.server["workflow"] = "ScatterAndGathr"
    finding = mmar.findings()[-1]
    assert (finding.code, finding.pointer) == ("MMAR501", "/workflow")
