# SPDX-License-Identifier: Apache-2.0
"""Clients' views of an MMAR: each its own, and what is the same in all of them there once."""

from __future__ import annotations

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.simulation.specs import ClientSpecs, shared
from mmar_runner.testing.builders import MmarBuilder

NAMES = ["site-1", "site-2", "site-3"]


@pytest.fixture
def mmar(tmp_path):
    train = {"train": {"at": "{SITE_INDEX}", "of": {"name": "{CLIENT_NAME}"}, "same": [1, 2]}}
    made = MmarBuilder().trainer("EchoTrainer", constant="{SITE_INDEX}")
    return made.json_file("config/config_train.json", train).write(tmp_path)


def test_each_view_is_what_a_check_of_its_own_gives(mmar):
    catalog = load_plugins().registry
    views = ClientSpecs(validate(mmar, catalog), NAMES)

    assert list(views) == NAMES
    for name in NAMES:
        assert views[name] == validate(mmar, catalog, client_name=name).spec
    assert views["site-2"].train_config["train"]["at"] == 2
    assert "site-4" not in views


def test_what_is_the_same_is_there_once(mmar):
    views = ClientSpecs(validate(mmar, load_plugins().registry), NAMES)
    two, three = views["site-2"], views["site-3"]

    assert two.server is three.server
    assert two.train_config["train"]["same"] is three.train_config["train"]["same"]
    assert two.train_config["train"]["of"] != three.train_config["train"]["of"]


def test_a_value_of_another_type_is_not_shared():
    like = {"a": 1, "b": (1.0, [2]), "c": {"d": 3}}
    value = {"a": True, "b": (1, [2]), "c": {"d": 3}}
    made = shared(value, like)

    assert made == value
    assert type(made["a"]) is bool
    assert type(made["b"][0]) is int
    assert made["b"][1] is like["b"][1]
    assert made["c"] is like["c"]
