# SPDX-License-Identifier: Apache-2.0
"""What is not needed is left out of both files: what comes out, every note, where it stood."""

from __future__ import annotations

import json

import pytest

from mmar_runner.documents.json_reader import read_json
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.sources.canonical import canonical_client, canonical_server
from mmar_runner.mmar.sources.renewal import renew_client, renew_server
from mmar_runner.mmar.sources.upgrade import upgrade_client, upgrade_server

SELECTOR = "nvflare.components.handlers.intime_model_selection_handler.IntimeModelSelectionHandler"


def renewed(value, *steps):
    """Return what comes out, and code and message of what was said by pointer."""
    source = read_json(json.dumps(value))
    document, findings = Document("file.json", source, source.value), Findings()
    for step in steps:
        step(document, findings)
    said = {f.pointer: (f.code, f.message) for f in findings.result(strict=False)}
    return document, said


@pytest.mark.parametrize("steps", [(renew_client,), (renew_client, canonical_client)])
def test_filters_that_need_nothing_are_left_out_and_the_others_keep_their_places(steps):
    filters = [
        {"name": "DataDeCompressor"},
        {"name": "Scale"},
        {"path": "fed_learn.components.crypto.ModelDecryptor", "disabled": True},
        {"name": "Pack"},
    ]
    document, said = renewed({"client": {"inbound_filters": filters}}, *steps)

    place = ("inbound_filters",) if len(steps) > 1 else ("client", "inbound_filters")
    assert document.get(place) == [{"name": "Scale"}, {"name": "Pack"}]
    assert [document.origin((*place, i, "name")) for i in range(2)] == [
        ("client", "inbound_filters", 1, "name"),
        ("client", "inbound_filters", 3, "name"),
    ]
    assert {pointer: code for pointer, (code, _) in said.items()} == {
        "/client/inbound_filters/0/name": "MMAR212",
        "/client/inbound_filters/2/path": "MMAR212",
    }


def test_places_are_right_after_all_three_steps():
    older = {
        "servers": [{"name": "t"}],
        "pre_processors": [{"name": "ModelEncryptor"}, {"name": "Mine", "args": {"a": 1}}],
    }
    document, _ = renewed(older, upgrade_server, renew_server, canonical_server)

    assert document.value["outbound_filters"] == [{"name": "Mine", "args": {"a": 1}}]
    assert document.origin(("outbound_filters", 0, "args", "a")) == (
        *("pre_processors", 1, "args", "a"),
    )


def test_places_of_a_client_are_right_after_all_three_steps():
    client = {
        "privacy": {"name": "P"},
        "pre_processors": [{"name": "BestMetricGenerator"}, {"name": "Q"}],
    }
    document, _ = renewed({"client": client}, upgrade_client, renew_client, canonical_client)

    assert [one["name"] for one in document.value["outbound_filters"]] == ["P", "Q"]
    assert document.origin(("outbound_filters", 0)) == ("client", "privacy")
    assert document.origin(("outbound_filters", 1)) == ("client", "pre_processors", 1)


def test_a_filter_that_excludes_nothing_is_left_out():
    for value in (None, "", "dummy", []):
        declared = {"name": "ExcludeVars", "args": {"exclude_vars": value}}
        document, said = renewed({"outbound_filters": [declared]}, renew_client)
        assert document.value == {"outbound_filters": []}
        assert said["/outbound_filters/0/name"][0] == "MMAR212"
    kept = {"outbound_filters": [{"name": "ExcludeVars", "args": {"exclude_vars": "head"}}]}
    assert renewed(kept, renew_client)[0].value == kept
    lacking = {"outbound_filters": [{"name": "ExcludeVars"}]}  # which is told of elsewhere
    assert renewed(lacking, renew_client)[0].value == lacking


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shareable_generator", {"name": "FullModelShareableGenerator"}),
        ("shareable_generator", {"name": "HEModelShareableGenerator"}),
        ("shareable_generator", {}),
        ("admin_cmd_modules", [{"name": "TrainingCommandModule"}]),
        ("server_trainer", {"path": "mine.Trainer", "disabled": True}),
    ],
)
def test_a_key_that_needs_nothing_is_a_note(key, value):
    document, said = renewed({key: value}, renew_server)

    assert document.value == {}
    assert said[f"/{key}"][0] == "MMAR211"


def test_own_components_of_such_a_key_are_a_warning_each():
    value = {
        "shareable_generator": {"path": "mine.Generator"},
        "admin_cmd_modules": [{"name": "ShellCommandModule"}, {"name": "MyModule"}],
    }
    document, said = renewed(value, renew_server)

    assert document.value == {}
    assert {pointer: code for pointer, (code, _) in said.items()} == {
        "/shareable_generator": "MMAR222",
        "/admin_cmd_modules/1": "MMAR222",
    }
    assert "'mine.Generator' is not called here" in said["/shareable_generator"][1]


@pytest.mark.parametrize("identity", [{"path": SELECTOR}, {"name": "IntimeModelSelector"}])
def test_a_default_that_is_another_one_here_is_written_down(identity):
    document, said = renewed({"handlers": [dict(identity)]}, renew_server)

    assert document.value["handlers"][0]["args"] == {"weigh_by_local_iter": False}
    key = next(iter(identity))
    assert said[f"/handlers/0/{key}"][0] == "MMAR210"
    declared = {"handlers": [{**identity, "args": {"weigh_by_local_iter": True}}]}
    assert renewed(declared, renew_server)[0].value == declared


def test_arguments_of_an_older_persistor():
    args = {
        "model": {"name": "Net"},
        "global_model_file_name": "FL_global_model.pt",
        "best_global_model_file_name": "best.pt",
        "source_ckpt_file_full_name": "models/model.pt",
    }
    value = {"model_persistor": {"name": "PTFileModelPersistor", "args": args}}
    document, said = renewed(value, renew_server)

    assert document.value == {
        "model_persistor": {"name": "PTFileModelPersistor", "args": {"model": {"name": "Net"}}},
        "ckpt_preload_path": "models/model.pt",
    }
    place = "/model_persistor/args/"
    assert {pointer.removeprefix(place): code for pointer, (code, _) in said.items()} == {
        "global_model_file_name": "MMAR211",
        "best_global_model_file_name": "MMAR211",
        "source_ckpt_file_full_name": "MMAR210",
    }
    assert document.origin(("ckpt_preload_path",)) == (
        *("model_persistor", "args", "source_ckpt_file_full_name"),
    )


def test_a_checkpoint_that_is_null_is_none():
    args = {"source_ckpt_file_full_name": None}
    value = {"model_persistor": {"name": "PTFileModelPersistor", "args": args}}
    document, said = renewed(value, renew_server)

    assert document.value == {"model_persistor": {"name": "PTFileModelPersistor", "args": {}}}
    assert said == {}


def test_arguments_of_an_older_trainer():
    trainer = {
        "path": "medl.apps.fed_learn.trainers.client_trainer.ClientTrainer",
        "args": {"local_epochs": 2, "model_reader_writer": {"name": "PTModelReaderWriter"}},
    }
    document, said = renewed({"client_trainer": trainer}, renew_client)

    assert document.value["client_trainer"]["args"] == {"local_epochs": 2}
    assert said["/client_trainer/args/model_reader_writer"][0] == "MMAR211"


@pytest.mark.parametrize(
    "declared",
    [
        {"path": "mine.ClientTrainer", "args": {"model_reader_writer": {}}},
        {"name": "ClientTrainer", "args": {"model_reader_writer": {}}, "disabled": True},
        {"name": "ClientTrainer", "args": []},
        {"name": "Trainer", "args": {"model_reader_writer": {}}},
        {"name": 7},
        "ClientTrainer",
    ],
)
def test_what_is_nobodys_or_ill_formed_stays_as_it_is(declared):
    value = {"client_trainer": declared, "outbound_filters": [declared, 1, None]}
    document, said = renewed(json.loads(json.dumps(value)), renew_client)

    assert document.value == value
    assert said == {}


_KIT_KEYS = {
    "admin_host": "localhost",
    "admin_port": 8003,
    "admin_storage": "transfer",
    "retry_timeout": 30,
    "num_server_workers": 20,
    "req_processors": [{"name": "StartClientProcessor"}],
    "multi_gpu": True,
    "search": {"type": "rl"},
    "enable_byoc": True,
}


@pytest.mark.parametrize("step", [renew_server, renew_client])
@pytest.mark.parametrize("section", [(), ("servers", 0)])
def test_keys_that_do_nothing_here_are_notes_wherever_they_stand(step, section):
    value = {"servers": [dict(_KIT_KEYS)]} if section else dict(_KIT_KEYS)
    document, said = renewed(value, step)

    assert document.get(section) == {}
    assert {pointer.rpartition("/")[2] for pointer in said} == _KIT_KEYS.keys()
    assert {code for code, _ in said.values()} == {"MMAR211"}


def test_keys_of_a_client_that_do_nothing_here_are_notes():
    document, said = renewed({"client": {"multi_gpu": True, "search": []}}, renew_client)

    assert document.value == {"client": {}}
    assert said["/client/multi_gpu"][0] == said["/client/search"][0] == "MMAR211"
    assert "--processes" in said["/client/multi_gpu"][1]


def test_certificates_at_the_top_are_notes_and_own_components_there_are_warnings():
    value = {"ssl_cert": "a.pem", "req_processors": [{"path": "mine.Answers"}]}
    document, said = renewed(value, renew_client)

    assert document.value == {}
    assert said["/ssl_cert"][0] == "MMAR612"
    assert said["/req_processors/0"][0] == "MMAR222"


def test_the_codec_at_the_top_of_the_server_file_counts():
    document, said = renewed({"compression": "none"}, renew_server)

    assert (document.value, said) == ({"compression": "none"}, {})
