# SPDX-License-Identifier: Apache-2.0
"""What is said of a declaration that cannot be resolved, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.mmar.code import installed_names
from mmar_runner.mmar.components import installed_class


def described(kind, name, schema=None, **more):
    target = f"not_there.{name}:{name}"
    return ComponentDescription(
        ComponentKind(kind), name, target, schema or {"type": "object"}, **more
    )


@pytest.fixture
def more(mmar):
    """An MMAR whose catalog also allows classes of two packages, and whose trainer reads a loss."""
    needs = {
        "type": "object",
        "properties": {"model": {"x-component": "model"}},
        "required": ["model"],
    }
    components = [
        described("loss", "Cross"),
        described("loss", "Loss"),
        described("optimizer", "json.", path_prefix=True),
        described("model", "not_there.", path_prefix=True),
    ]
    for found in mmar.catalog._components:
        parts = found.extras.get("train_parts")
        if parts:
            extras = {**found.extras, "train_parts": {**parts, "/train/loss": "loss"}}
            components.append(replace(found, extras=extras))
        else:
            components.append(
                replace(found, args_schema=needs) if found.name == "Persistor" else found
            )
    mmar.catalog = type(mmar.catalog)(tuple(components))
    return mmar


@pytest.fixture
def installed(monkeypatch):
    """What is installed is looked at, as it is outside of these tests."""
    for name in ("absence", "is_module", "definition"):
        monkeypatch.setattr(installed_class, name, getattr(installed_names, name))


def said(mmar, *codes):
    return [(f.code, f.pointer, f.message, f.hint) for f in mmar.findings() if f.code in codes]


def test_a_component_of_another_kind_is_told_with_both(more):
    more.server["aggregator"] = {"name": "Net"}
    assert said(more, "MMAR501", "MMAR502") == [
        (
            "MMAR502",
            "/aggregator/name",
            "'Net' is a model, not an aggregator.",
            "Installed aggregators: FedAvg, OnlyDiffs.",
        )
    ]


def test_a_part_that_nobody_offers_is_told_with_those_there_are(more):
    more.train["train"]["loss"] = {"name": "Unheard"}
    assert said(more, "MMAR501") == [
        (
            "MMAR501",
            "/train/loss/name",
            "No installed plugin offers a loss named 'Unheard'.",
            "Installed losses: Cross, Loss.",
        )
    ]


INSTALL = "install the plugin, or give the folder of a one-file plugin with --plugins-dir."


@pytest.mark.parametrize(("path", "what"), [("json.dumps", "function"), ("json.decoder", "module")])
@pytest.mark.usefixtures("installed")
def test_an_installed_name_that_is_no_class_is_told_what_it_is(more, path, what):
    more.train["train"]["optimizer"] = {"path": path}
    assert said(more, "MMAR503") == [
        (
            "MMAR503",
            "/train/optimizer/path",
            f"'{path}' is a {what}, and a class is needed.",
            f"No optimizer is installed: {INSTALL}",
        )
    ]


@pytest.mark.parametrize(
    "path", ["json." + "a." * 5000 + "B", "json." + "B" * 250, "x." * 30 + "B"]
)
@pytest.mark.usefixtures("installed")
def test_a_text_that_is_too_long_is_no_class_path(more, path):
    more.train["train"]["optimizer"] = {"path": path}
    (found,) = said(more, "MMAR503")
    message = f"'{path[:40]}...' has too many letters or parts for a class path."
    assert found == ("MMAR503", "/train/optimizer/path", message, "Write module.Class.")


@pytest.mark.usefixtures("installed")
def test_an_installed_class_is_taken(more):
    more.train["train"]["optimizer"] = {"path": "json.JSONDecoder"}
    assert said(more, "MMAR503") == []


def test_a_path_to_a_registered_class_is_held_to_what_it_registered(more):
    model = {"path": "not_there.Net.Net", "args": {"width": 4}}
    more.train["train"]["model"] = model
    assert said(more, "MMAR511") == []
    model["args"] = {}
    assert [found[:3] for found in said(more, "MMAR511")] == [
        ("MMAR511", "/train/model/args", "Net: argument 'width' is missing."),
    ]


def test_a_place_for_components_holds_nothing_else(more):
    more.server["model_persistor"]["args"]["model"] = 5
    assert said(more, "MMAR513") == [
        (
            "MMAR513",
            "/model_persistor/args/model",
            "'model' must declare a model, found 5.",
            'Write {"name": ..., "args": {...}}.',
        )
    ]


@pytest.mark.parametrize("off", [{}, {"name": "Net", "disabled": True}])
def test_what_is_required_cannot_be_switched_off(more, off):
    more.server["model_persistor"]["args"]["model"] = off
    assert said(more, "MMAR516") == [
        (
            "MMAR516",
            "/model_persistor/args/model",
            "'model' is required but is empty or switched off.",
            "Declare it.",
        )
    ]


@pytest.mark.parametrize(("written", "code"), [("{NOWHERE}", "MMAR301"), ("yes", "MMAR402")])
def test_a_switch_is_true_or_false(more, written, code):
    more.client["client_trainer"]["disabled"] = written
    found = [(f.code, f.pointer, f.severity) for f in more.findings()]
    assert found == [(code, "/client_trainer/disabled", "error")]


@pytest.mark.parametrize("key", ["inbound_filters", "outbound_filters"])
def test_filters_of_cross_site_validation_are_resolved(more, key):
    more.client["cross_validate"] = True
    validation = {"is_participating": True, "model_validator": {"name": "Judge"}}
    more.client["cross_site_validation"] = {**validation, key: [{"name": "Nobody"}]}
    assert [found[:2] for found in said(more, "MMAR501")] == [
        ("MMAR501", f"/cross_site_validation/{key}/0/name")
    ]


@pytest.mark.parametrize(
    ("key", "meant"), [("class_pth", "path"), ("paht", "path"), ("nmae", "name")]
)
def test_a_misspelt_name_or_path_is_told_what_was_meant(more, key, meant):
    more.server["aggregator"] = {key: "FedAvg"}
    assert said(more, "MMAR504") == [
        (
            "MMAR504",
            f"/aggregator/{key}",
            "The component has neither 'name' nor 'path'.",
            f"Did you mean '{meant}' by '{key}'?",
        )
    ]
