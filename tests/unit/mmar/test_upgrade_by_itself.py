# SPDX-License-Identifier: Apache-2.0
"""The upgrade alone: the whole file that comes out, every note, and where each part stood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmar_runner.documents.json_reader import read_json
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.sources.upgrade import upgrade_client, upgrade_server

OLDER = Path(__file__).parents[2] / "assets" / "mmars" / "older" / "config"


def _upgraded(upgrade, value):
    """Return the file that comes out, its notes by pointer, and origins by present path."""
    source = read_json(json.dumps(value))
    document, findings = Document("file.json", source, source.value), Findings()
    upgrade(document, findings)
    notes = {f.pointer: (f.code, f.message) for f in findings.result(strict=False)}
    moves = {"/".join(map(str, k)): "/".join(map(str, v)) for k, v in document.moves.items()}
    return document.value, notes, moves


def _now(old, new):
    return ("MMAR210", f"'{old}' is now '{new}'.")


def test_a_server_file():
    older = json.loads((OLDER / "config_fed_server.json").read_text())
    value, notes, moves = _upgraded(upgrade_server, older)
    (task,) = older["servers"]
    assert value == {
        "format_version": 1,
        "servers": [{key: task[key] for key in task if key != "exclude_vars"}],
        "exclude_vars": "head",
        "aggregator": older["aggregator"],
        "model_persistor": older["model_saver"],
        "model_validator": older["model_validator"],
        "outbound_filters": older["pre_processors"],
        "inbound_filters": older["post_processors"],
        "admin_cmd_modules": older["admin_cmd_modules"],
        "result_processors": [],
    }
    assert notes == {
        "/servers/0/exclude_vars": ("MMAR210", "'exclude_vars' is now a top-level key."),
        "/model_saver": _now("model_saver", "model_persistor"),
        "/pre_processors": _now("pre_processors", "outbound_filters"),
        "/post_processors": _now("post_processors", "inbound_filters"),
    }
    assert moves == {
        "exclude_vars": "servers/0/exclude_vars",
        "model_persistor": "model_saver",
        "outbound_filters": "pre_processors",
        "inbound_filters": "post_processors",
    }


def test_a_client_file():
    older = json.loads((OLDER / "config_fed_client.json").read_text())
    value, notes, moves = _upgraded(upgrade_client, older)
    client = older["client"]
    argument = "is now an argument of client_trainer."
    assert value == {
        "format_version": 1,
        "servers": older["servers"],
        "client": {
            key: client[key] for key in ("req_processors", "model_reader_writer", "retry_timeout")
        },
        "client_trainer": {
            "name": "ClientTrainer",
            "args": {"local_epochs": 5, "steps_aggregation": 0},
        },
        "outbound_filters": [client["privacy"], *client["pre_processors"]],
        "inbound_filters": client["post_processors"],
        "cross_validate": True,
        "cross_site_validation": {"is_participating": True, "model_validator": {"name": "Judge"}},
    }
    assert {pointer.removeprefix("/client/"): note for pointer, note in notes.items()} == {
        "local_epochs": ("MMAR210", f"'local_epochs' {argument}"),
        "steps_aggregation": ("MMAR210", f"'steps_aggregation' {argument}"),
        "exclude_vars": ("MMAR210", "'exclude_vars' excludes nothing and is left out."),
        "cross_site_validate": _now("cross_site_validate", "cross_validate"),
        "privacy": ("MMAR210", "'privacy' is now the first of 'outbound_filters'."),
        "pre_processors": _now("pre_processors", "outbound_filters"),
        "post_processors": _now("post_processors", "inbound_filters"),
        "model_validator": _now("model_validator", "cross_site_validation/model_validator"),
    }
    assert moves == {
        "client_trainer": "client",
        "client_trainer/name": "client",
        "client_trainer/args/local_epochs": "client/local_epochs",
        "client_trainer/args/steps_aggregation": "client/steps_aggregation",
        "outbound_filters/0": "client/privacy",
        **{f"outbound_filters/{i + 1}": f"client/pre_processors/{i}" for i in range(3)},
        "inbound_filters/0": "client/post_processors/0",
        "inbound_filters/1": "client/post_processors/1",
        "cross_validate": "client/cross_site_validate",
        "cross_site_validation/is_participating": "client/cross_site_validate",
        "cross_site_validation/model_validator": "client/model_validator",
    }


def test_what_a_client_excludes_becomes_a_filter_and_a_named_trainer_stays():
    older = {"client": {"exclude_vars": "head"}, "client_trainer": {"name": "T"}}
    value, notes, moves = _upgraded(upgrade_client, older)
    assert value == {
        "format_version": 1,
        "client": {},
        "client_trainer": {"name": "T"},
        "outbound_filters": [{"name": "ExcludeVars", "args": {"exclude_vars": "head"}}],
    }
    message = "'exclude_vars' is now the filter 'ExcludeVars'."
    assert notes == {"/client/exclude_vars": ("MMAR210", message)}
    assert set(moves.values()) == {"client/exclude_vars"}
    assert set(moves) == {
        f"outbound_filters/0{inner}" for inner in ("", "/name", "/args", "/args/exclude_vars")
    }


@pytest.mark.parametrize(
    ("client", "filters"),
    [
        ({"privacy": None}, {}),
        ({"privacy": {}}, {}),
        ({"exclude_vars": None}, {}),
        ({"pre_processors": []}, {"outbound_filters": []}),
        ({"pre_processors": "x", "privacy": {}}, {"outbound_filters": "x"}),
        ({"post_processors": ["x", {"name": 3}]}, {"inbound_filters": ["x", {"name": 3}]}),
    ],
)
def test_parts_that_say_nothing_or_are_no_filters(client, filters):
    value, notes, _ = _upgraded(upgrade_client, {"client": client, "format_version": 1})
    trainer = {"name": "ClientTrainer", "args": {}}
    assert value == {"format_version": 1, "client": {}, "client_trainer": trainer, **filters}
    assert set(notes) == {f"/client/{key}" for key in client}
    assert ("privacy" in client) == ("'privacy' is empty and is left out." in str(notes))
