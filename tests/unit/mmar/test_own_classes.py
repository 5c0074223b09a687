# SPDX-License-Identifier: Apache-2.0
"""Classes that an MMAR brings: whether they fit their place and their arguments, word for word."""

from __future__ import annotations

import pytest

PLACES = {
    "client_trainer": ("/client_trainer", "ClientTrainer", "train"),
    "filter": ("/client/outbound_filters/0", "Filter", "apply"),
    "model_validator": ("/cross_site_validation/model_validator", "ModelValidator", "validate"),
}


def told(mmar, place, source, **args):
    """Return what is said of a class in its place, its pointer counted from there."""
    mmar.write("custom/own.py", source)
    declared = {"path": "own.Own", "args": args}
    if place == "client_trainer":
        mmar.client["client_trainer"] = declared
    elif place == "filter":
        mmar.client["client"]["outbound_filters"] = [declared]
    else:
        mmar.client["cross_validate"] = True
        mmar.client["cross_site_validation"] = {
            "is_participating": True,
            "model_validator": declared,
        }
    return [
        (f.code, f.pointer.removeprefix(PLACES[place][0]), f.message, f.hint)
        for f in mmar.findings()
        if f.severity != "note" and f.code in {"MMAR511", "MMAR512", "MMAR521"}
    ]


def derived(place, body="", *, written="{module}.{name}"):
    """Return the source of a class of the interface of its place."""
    module, name = f"mmar_runner.interfaces.{place}", PLACES[place][1]
    base = written.format(module=module, name=name)
    method = f"    def {PLACES[place][2]}(self, *a): ...\n"
    return f"import {module}\nfrom {module} import {name}\nclass Own({base}):\n{method}{body}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bases", ["", "(object)"])
def test_a_class_of_no_interface_is_told_which_one(mmar, place, bases):
    name = PLACES[place][1]
    assert told(mmar, place, f"class Own{bases}: ...\n") == [
        (
            "MMAR521",
            "/path",
            f"The class is no {name}.",
            f"Derive it from mmar_runner.interfaces.{place}.{name}.",
        )
    ]


@pytest.mark.parametrize("place", PLACES)
def test_a_class_that_lacks_a_method_is_told_which_one(mmar, place):
    name, method = PLACES[place][1:]
    source = derived(place).replace(f"def {method}(", "def other(")
    assert told(mmar, place, source) == [
        (
            "MMAR521",
            "/path",
            f"The class lacks {method}.",
            f"Define what mmar_runner.interfaces.{place}.{name} asks for.",
        )
    ]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("written", ["{name}", "{module}.{name}"])
def test_a_class_without_a_constructor_takes_no_arguments(mmar, place, written):
    source = derived(place, written=written)
    assert told(mmar, place, source) == []
    message = "The constructor of the class takes no 'rate'."
    assert told(mmar, place, source, rate=1) == [
        ("MMAR512", "/args/rate", message, "It takes none: remove it.")
    ]


@pytest.mark.parametrize("written", ["Mine", "{name}, Mine"])
def test_what_another_base_brings_is_not_known(mmar, written):
    source = "class Mine: ...\n" + derived("filter", written=written)
    assert told(mmar, "filter", source, rate=1) == []


TWO = "    def __init__(self, first, second, third=1): ...\n"


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({"first": 1, "second": 2}, []),
        ({"first": 1, "second": 2, "third": 3}, []),
        (
            {"first": 1},
            [("MMAR511", "/args", "The constructor of the class needs 'second'.", "Add it.")],
        ),
        (
            {},
            [
                (
                    "MMAR511",
                    "/args",
                    "The constructor of the class needs 'first' and 'second'.",
                    "Add them.",
                )
            ],
        ),
        (
            {"first": 1, "second": 2, "zzz": 3},
            [
                (
                    "MMAR512",
                    "/args/zzz",
                    "The constructor of the class takes no 'zzz'.",
                    "It takes: first, second, third.",
                )
            ],
        ),
    ],
)
def test_arguments_are_compared_with_the_constructor(mmar, args, found):
    assert told(mmar, "filter", derived("filter", TWO), **args) == found
