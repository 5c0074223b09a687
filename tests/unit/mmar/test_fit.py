# SPDX-License-Identifier: Apache-2.0
"""Network, loss and data are compared by what their plugins say of them, and told by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind


def described(kind, name, **extras):
    takes_any = {"type": "object"}
    return ComponentDescription(
        ComponentKind(kind), name, f"not_there:{name}", takes_any, extras=extras
    )


@pytest.fixture
def fitted(mmar):
    """An MMAR of three parts that say what they take and give, and fit each other."""
    parts = {"/train/model": "model", "/train/loss": "loss", "/train/data": "dataset"}
    facts = {"takes": ["width", None], "gives": "outputs"}
    components = [
        described("loss", "Classes", labels="classes"),
        described("loss", "Values", labels="values"),
        described("dataset", "Pictures", yields={"shape": [4, 9], "classes": 3}),
        described("dataset", "Rows", yields={"shape": [4], "classes": 3}),
        described("model", "Net", **facts),
    ]
    for found in mmar.catalog._components:
        if found.name == "Trainer":
            more = {"produces": ["weights"], "train_parts": parts}
            components.append(replace(found, extras=more))
        elif found.name != "Net":
            components.append(found)
    mmar.catalog = type(mmar.catalog)(tuple(components))
    return mmar


def told(mmar, *, loss="Classes", data="Pictures", width=4, outputs=3):
    model = {"name": "Net", "args": {"width": width, "outputs": outputs}}
    mmar.server["model_persistor"]["args"]["model"] = model
    mmar.train["train"] = {"model": model, "loss": {"name": loss}, "data": {"name": data}}
    return [(f.pointer, f.message, f.hint) for f in mmar.findings() if f.code == "MMAR630"]


@pytest.mark.parametrize("fits", [{}, {"outputs": 4}, {"loss": "Values", "outputs": 1}], ids=str)
def test_what_fits_has_no_finding(fitted, fits):
    assert told(fitted, **fits) == []


@pytest.mark.parametrize(
    ("unfit", "found"),
    [
        (
            {"width": 5},
            ("/args/width", "'Net' takes width 5; 'Pictures' gives 4.", "Write 4."),
        ),
        (
            {"outputs": 2},
            (
                "/args/outputs",
                "'Classes' needs an output for each of 3 classes; there are 2.",
                "Write 3, or another loss.",
            ),
        ),
        (
            {"loss": "Values"},
            (
                "/args/outputs",
                "'Values' compares one output with a label; there are 3 outputs.",
                "Write 1, or another loss.",
            ),
        ),
        (
            {"data": "Rows"},
            (
                "",
                "'Net' takes inputs of 2 dimensions; 'Rows' gives [4].",
                "Declare a model for such inputs, or another data set.",
            ),
        ),
    ],
)
def test_what_does_not_fit_is_told_by_name(fitted, unfit, found):
    pointer, message, hint = found
    assert told(fitted, **unfit) == [(f"/train/model{pointer}", message, hint)]


def test_another_model_is_found_wherever_the_trainer_names_it(mmar):
    """In this table of parts something else stands before the model."""
    turned = []
    for found in mmar.catalog._components:
        parts = found.extras.get("train_parts")
        if parts:
            extras = {**found.extras, "train_parts": dict(reversed(parts.items()))}
            turned.append(replace(found, extras=extras))
        else:
            turned.append(found)
    mmar.catalog = type(mmar.catalog)(tuple(turned))
    mmar.train["train"]["model"]["args"]["width"] = 5

    found = mmar.only()
    assert (found.code, found.pointer) == ("MMAR623", "/train/model/args/width")
    assert "validate-mmar --deep" in found.hint  # no plugin states the tensors of 'Net'
