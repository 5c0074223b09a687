# SPDX-License-Identifier: Apache-2.0
"""What texts of a bundle ask for, and what stands where once references are followed."""

from __future__ import annotations

import pytest

from mmar_runner.errors import FormatError
from mmar_runner.mmar.bundle.merged import NotDataError, at, literal, merged
from mmar_runner.mmar.bundle.standing import BundleFact, Standing, known_class, standing_in
from mmar_runner.mmar.bundle.texts import uses

FACT = BundleFact(
    "bundle_root",
    packages=("monai.data.", "monai.networks.nets.", "torch.nn."),
    callables=frozenset({"from_engine"}),
    refused=frozenset({"LMDBDataset"}),
)


def found(value):
    return [(use.kind.value, use.text) for use in uses(value)]


@pytest.mark.parametrize(
    ("value", "asks"),
    [
        ({"a": "$print(1)"}, [("expression", "$print(1)")]),
        ({"imports": ["$import os"]}, [("expression", "$import os")]),
        ({"_requires_": "$x()"}, [("expression", "$x()")]),
        ({"_target_": "$os.system"}, [("expression", "$os.system")]),
        ({"a": [[{"_target_": "os.system"}]]}, [("target", "os.system")]),
        ({"train#trainer#_target_": "os.system"}, [("target", "os.system")]),
        ({"+train::trainer::_target_": "os.system"}, [("target", "os.system")]),
        ({"+_target_": "os.system"}, [("target", "os.system")]),
        ({"_target_": "@name"}, [("target", "@name")]),
        ({"_target_": ["os.system"]}, [("target", "['os.system']")]),
        ({"_target_": "UNet", "_mode_": "debug"}, [("target", "UNet"), ("mode", "debug")]),
        ({"_mode_": {"a": 1}}, [("mode", "{'a': 1}")]),
        ({"x#_debug_": True}, [("mode", "True")]),
        ({"a": "%/etc/other.json::x"}, [("file", "%/etc/other.json::x")]),
        ({"a": "%other.YAML#x"}, [("file", "%other.YAML#x")]),
        ({"pretrained": True}, [("fetch", "pretrained: True")]),
        ({"allow_pickle": True}, [("fetch", "allow_pickle: True")]),
        ({"weights_only": False}, [("fetch", "weights_only: False")]),
        ({"amp_kwargs": {"dtype": "x"}}, [("fetch", "amp_kwargs: {'dtype': 'x'}")]),
        ({"x#to_kwargs": "@y"}, [("fetch", "to_kwargs: '@y'")]),
        ({"merger_cls": "os.system"}, [("target", "os.system")]),
        ({"amp_kwargs": {"enabled": False}, "to_kwargs": {"copy": True}, "weights_only": True}, []),
        ({"reader": "subprocess.Popen"}, [("target", "subprocess.Popen")]),
        ({"reader": ["NibabelReader", "os.system"]}, [("target", "os.system")]),
        ({"a": " $no", "b": "@ref", "c": "%macro", "d": "5 $", "reader": "ITKReader"}, []),
        ({"_mode_": "callable", "pretrained": False, "_desc_": "what it is"}, []),
    ],
)
def test_what_a_configuration_asks_for(value, asks):
    assert found(value) == asks


def test_the_place_of_what_is_asked_for():
    (use,) = uses({"train": {"handlers": [{"a": "$b"}]}})

    assert use.path == ("train", "handlers", 0, "a")


@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("monai.networks.nets.UNet", Standing.CLASS_PATH),
        ("torch.nn.Linear", Standing.CLASS_PATH),
        ("monai.data.LMDBDataset", Standing.UNKNOWN),
        ("monai.data.utils.os.system", Standing.UNKNOWN),
        ("monai.data.utils.pickle_hashing", Standing.UNKNOWN),
        ("monai.data.nothing.There", Standing.UNKNOWN),
        ("os.system", Standing.UNKNOWN),
        ("monai.bundle.ConfigParser", Standing.UNKNOWN),
        ("monai.networks.netsX.UNet", Standing.UNKNOWN),
    ],
)
def test_a_path_leads_to_a_class_of_the_packages_or_needs_leave(name, standing):
    assert known_class(FACT, name) is standing


@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("UNet", Standing.FREE),
        ("from_engine", Standing.FREE),
        ("Dataset", Standing.FREE),
        ("LMDBDataset", Standing.UNKNOWN),
        ("Linear", Standing.UNKNOWN),  # torch's; MONAI finds short names among its own
        ("Net", Standing.UNKNOWN),  # registered, and nothing of MONAI's
        ("eval", Standing.UNKNOWN),
    ],
)
def test_a_short_name_is_one_of_monais_own(mmar, name, standing):
    assert standing_in(mmar.catalog, FACT, name) is standing


def test_a_later_configuration_replaces_parts_and_adds_to_others():
    config = merged(
        [
            {"train": {"lr": 1, "handlers": ["a"], "args": {"x": 1}}, "n": 3},
            {"train#lr": 2, "+train::handlers": ["b"], "+train#args": {"y": 2}, "n": 4},
        ]
    )

    assert config == {"train": {"lr": 2, "handlers": ["a", "b"], "args": {"x": 1, "y": 2}}, "n": 4}


@pytest.mark.parametrize("second", [{"no#where": 1}, {"n#x": 1}, {"+n": [1]}, {"list#7": 1}])
def test_a_key_that_leads_nowhere_is_refused(second):
    with pytest.raises(FormatError):
        merged([{"n": 3, "list": [1]}, second])


def test_references_macros_and_relative_ones_are_followed():
    config = {
        "dims": 2,
        "widths": [4, "@last"],
        "last": 8,
        "net": {
            "_target_": "UNet",
            "a": "@dims",
            "b": "%widths",
            "c": {"d": "@##a", "e": "@#f", "f": 5},
        },
    }

    found = literal(config, "net")

    assert found == {"_target_": "UNet", "a": 2, "b": [4, 8], "c": {"d": 2, "e": 5, "f": 5}}
    assert at(config, "widths::1") == "@last"


def test_an_expression_on_the_way_is_said():
    with pytest.raises(NotDataError, match=r"'n' is an expression: '\$1 \+ 1'"):
        literal({"net": {"a": "@n"}, "n": "$1 + 1"}, "net")


@pytest.mark.parametrize(
    "config",
    [
        {"net": "@net"},
        {"net": "@other", "other": ["@net"]},
        {"net": ["@n1"] * 9, **{f"n{i}": [f"@n{i + 1}"] * 9 for i in range(1, 20)}, "n20": 1},
        {"net": "@nowhere"},
    ],
    ids=["itself", "a circle", "what doubles", "nothing"],
)
def test_a_reference_in_a_circle_or_to_too_much_is_refused(config):
    with pytest.raises(FormatError):
        literal(config, "net")
