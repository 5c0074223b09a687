# SPDX-License-Identifier: Apache-2.0
"""Arguments outside their range are findings; none of them silently filters nothing."""

from __future__ import annotations

import jsonschema
import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.catalog import ComponentKind

GOOD = {
    "ExcludeVars": {"exclude_vars": "head"},
    "PercentilePrivacy": {},
    "SVTPrivacy": {},
    "LaplacianPrivacy": {},
    "LaplaceNoise": {"scale": 1},
    "GaussianNoise": {"stddev": 1},
    "NormClip": {"max_norm": 1},
    "LocalDP": {"max_norm": 1, "noise_multiplier": 1, "epsilon": 1},
    "DPFedAvg": {"max_norm": 1, "noise_multiplier": 1, "max_epsilon": 1},
}
BAD = [
    ("ExcludeVars", {"exclude_vars": None}),
    ("ExcludeVars", {"exclude_vars": ""}),
    ("ExcludeVars", {"exclude_vars": []}),
    ("PercentilePrivacy", {"percentile": -1}),
    ("PercentilePrivacy", {"percentile": 100.5}),
    ("PercentilePrivacy", {"gamma": 0}),
    ("PercentilePrivacy", {"steps": 0}),
    ("SVTPrivacy", {"fraction": 0}),
    ("SVTPrivacy", {"fraction": 1.1}),
    ("SVTPrivacy", {"epsilon": 0}),
    ("SVTPrivacy", {"noise_var": 0}),
    ("SVTPrivacy", {"gamma": -1}),
    ("SVTPrivacy", {"tau": -1}),
    ("LaplacianPrivacy", {"fraction": 0}),
    ("LaplacianPrivacy", {"fraction": 101}),
    ("LaplacianPrivacy", {"epsilon": 0}),
    ("LaplacianPrivacy", {"gamma": 0}),
    ("LaplaceNoise", {"scale": 0}),
    ("GaussianNoise", {"stddev": 0}),
    ("NormClip", {"max_norm": 0}),
    ("LocalDP", {"max_norm": 0}),
    ("LocalDP", {"noise_multiplier": 0}),
    ("LocalDP", {"epsilon": 0}),
    ("LocalDP", {"delta": 0}),
    ("LocalDP", {"delta": 1}),
    ("DPFedAvg", {"max_norm": 0}),
    ("DPFedAvg", {"noise_multiplier": 0}),
    ("DPFedAvg", {"max_epsilon": 0}),
    ("DPFedAvg", {"delta": 1}),
]


@pytest.fixture(scope="module")
def validator():
    registry = load_plugins().registry

    def found(name):
        kind = ComponentKind.AGGREGATOR if name == "DPFedAvg" else ComponentKind.FILTER
        return jsonschema.Draft202012Validator(registry.installed.find(kind, name).args_schema)

    return found


@pytest.mark.parametrize("name", GOOD)
def test_good_arguments_are_accepted(validator, name):
    assert validator(name).is_valid(GOOD[name])


@pytest.mark.parametrize(("name", "wrong"), BAD, ids=str)
def test_bad_arguments_are_found(validator, name, wrong):
    assert not validator(name).is_valid({**GOOD[name], **wrong})


@pytest.mark.parametrize("older", ["PercentileProtocol", "SVTProtocol", "LaplacianProtocol"])
def test_older_names_mean_the_same(older):
    registry = load_plugins().registry
    newer = older.replace("Protocol", "Privacy")
    found = [registry.installed.find(ComponentKind.FILTER, name) for name in (older, newer)]
    assert found[0] == found[1] is not None
