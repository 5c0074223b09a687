# SPDX-License-Identifier: Apache-2.0
"""The metric that chooses the best model is one that somebody measures."""

from __future__ import annotations

from dataclasses import replace

import pytest

MEASURES = {
    "parts": "/train/metrics/*",
    "prefix": "val_",
    "label": "log_label",
    "always": {"val_loss": "/train/loss", "val_time": ""},
}


@pytest.fixture
def measuring(mmar):
    """An MMAR whose trainer and validator say what they measure."""
    components = []
    for found in mmar.catalog._components:
        extras = dict(found.extras)
        schema = found.args_schema
        if found.name in {"Trainer", "Judge"}:
            extras["measures"] = MEASURES
        if found.name == "Best":
            extras["reads_metric"] = "metric"
            schema = {"type": "object", "properties": {"metric": {"type": "string"}}}
        components.append(replace(found, extras=extras, args_schema=schema))
    mmar.catalog = type(mmar.catalog)(tuple(components))
    return mmar


def wants(mmar, metric):
    mmar.server["handlers"] = [{"name": "Best", "args": {"metric": metric}}]
    return [(f.code, f.pointer, f.hint) for f in mmar.findings()]


@pytest.mark.parametrize("metric", ["val_auc", "val_time"])
def test_what_is_measured_is_accepted(measuring, metric):
    assert wants(measuring, metric) == []


def test_what_is_measured_is_named(measuring):
    hint = "What is measured: val_auc, val_time."

    assert wants(measuring, "dice") == [("MMAR628", "/handlers/0/args/metric", hint)]


def test_a_label_is_the_name_of_a_metric(measuring):
    measuring.train["train"]["metrics"][0]["log_label"] = "auroc"

    assert wants(measuring, "auroc") == []
    assert [code for code, *_ in wants(measuring, "val_auc")] == ["MMAR628"]


def test_what_is_switched_off_measures_nothing(measuring):
    measuring.train["train"]["metrics"][0]["disabled"] = True

    assert [code for code, *_ in wants(measuring, "val_auc")] == ["MMAR628"]


def test_what_stands_behind_something_switched_off_is_measured(measuring):
    off = {"name": "AUC", "disabled": True}
    measuring.train["train"]["metrics"] = [off, {"name": "AUC", "is_key_metric": True}]

    assert wants(measuring, "val_auc") == []


SKIPPED = {
    "not known": {"name": "Nobody"},
    "reads no metric": {"name": "Chain"},
    "content": {"name": "Best", "args": {"metric": "val_auc"}},
    "switched off": {"name": "Best", "disabled": True},
}


@pytest.mark.parametrize("first", SKIPPED.values(), ids=SKIPPED.keys())
def test_every_handler_is_asked_whatever_stands_before_it(measuring, first):
    measuring.server["handlers"] = [first, {"name": "Best", "args": {"metric": "dice"}}]

    found = [(f.code, f.pointer) for f in measuring.findings() if f.code == "MMAR628"]
    assert found == [("MMAR628", "/handlers/1/args/metric")]


def test_a_handler_that_takes_any_metric_is_told_where_it_stands_if_there_is_none(measuring):
    measuring.train["train"]["metrics"] = []
    for component in measuring.catalog._components:
        if "measures" in component.extras:
            component.extras["measures"] = {**MEASURES, "always": {"val_loss": ""}}

    found = measuring.only()
    assert (found.code, found.pointer, found.message, found.hint) == (
        "MMAR628",
        "/handlers/0",
        "Nobody measures anything.",
        "What is measured: nothing.",
    )


def test_a_loss_is_measured_where_one_is_declared(measuring):
    assert [code for code, *_ in wants(measuring, "val_loss")] == ["MMAR628"]
    measuring.train["train"]["loss"] = {"name": "L"}

    assert wants(measuring, "val_loss") == []


def test_nothing_is_said_where_it_is_not_known_what_is_measured(mmar):
    assert wants(mmar, "anything") == [
        ("MMAR512", "/handlers/0/args/metric", "Known here: nothing.")
    ]


def test_two_metrics_of_one_name_are_found(measuring):
    measuring.train["train"]["metrics"].append({"name": "AUC"})

    assert [(f.code, f.pointer) for f in measuring.findings()] == [("MMAR632", "/train/metrics/1")]


@pytest.mark.parametrize(
    ("declared", "args", "found"),
    [
        ({"log_label": "val_dice", "is_key_metric": True}, {}, "val_dice"),
        ({"log_label": "val_dice", "is_key_metric": True}, {"metric": "val_time"}, "val_time"),
        ({"log_label": "val_dice"}, {}, None),
        ({"is_key_metric": True}, {}, None),
        ({"log_label": "val_dice", "is_key_metric": True, "disabled": True}, {}, None),
    ],
)
def test_the_key_metric_is_read_where_none_is_named(measuring, declared, args, found):
    metric = {"name": "AUC", **declared}
    measuring.train["validate"] = {**measuring.train.get("validate", {}), "metrics": [metric]}
    measuring.server["handlers"] = [{"name": "Best", "args": args}]
    (handler,) = measuring.check().spec.server.handlers
    assert handler.args.get("metric") == found
    assert handler.declaration.get("args", {}).get("metric") == found
