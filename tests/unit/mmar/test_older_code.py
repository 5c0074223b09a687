# SPDX-License-Identifier: Apache-2.0
"""Classes of older code in ``custom/``: which adapter runs them, told by their source alone."""

from __future__ import annotations

import pytest

from tests.unit.mmar.conftest import _COMPONENTS, FakeCatalog, _describe

PROVIDES = {
    "nvflare.apis.aggregator": ["Aggregator"],
    "nvflare.apis.filter": ["Filter"],
    "nvflare.apis.trainer": ["Trainer"],
    "nvflare.apis.fl_constant": ["FLConstants"],
    "nvflare.apis.shareable": ["Shareable"],
}
GIVEN = {"accept": ["shareable", "fl_ctx"], "aggregate": ["fl_ctx"]}
CONSTANTS = {"FLConstants": ["NUM_STEPS_CURRENT_ROUND", "CLIENT_NAME"]}
OWN = "config/config_fed_server.json"


def _adapter(kind, base, *methods, **more):
    schema = {"type": "object", "properties": {"code": {"type": "object", "x-component": kind}}}
    adapts = {"modules": ["nvflare."], "bases": [base], "methods": methods, "provides": PROVIDES}
    adapts |= {"arguments": {name: GIVEN.get(name, []) for name in methods if name in GIVEN}}
    adapts |= {"constants": CONSTANTS}
    return _describe(kind, f"Old{base}", schema, extras={"adapts": adapts, **more})


ADAPTERS = (
    _adapter("aggregator", "Aggregator", "accept", "aggregate", whole_updates=True),
    _adapter("filter", "Filter", "process"),
    _adapter("client_trainer", "Trainer", "train"),
)
BODY = "    def accept(self, s, c): ...\n    def aggregate(self, c): ...\n"
FROM = "from nvflare.apis.aggregator import Aggregator\n"


@pytest.fixture
def mmar(mmar):
    mmar.catalog = FakeCatalog((*_COMPONENTS, *ADAPTERS))
    return mmar


def declared(mmar, source, path="own.Own", **args):
    """Declare a class of a text as the aggregator; return what is found, without MMAR614."""
    mmar.write("custom/own.py", source)
    mmar.server["aggregator"] = {"path": path, "args": args}
    return [(f.code, f.file, f.line) for f in mmar.findings() if f.code != "MMAR614"]


@pytest.mark.parametrize(
    "source",
    [
        f"{FROM}class Own(Aggregator):\n{BODY}",
        f"from nvflare.apis.aggregator import Aggregator as A\nclass Own(A):\n{BODY}",
        f"import nvflare.apis.aggregator\nclass Own(nvflare.apis.aggregator.Aggregator):\n{BODY}",
        f"from nvflare.apis import aggregator\nclass Own(aggregator.Aggregator):\n{BODY}",
        f"{FROM}class Base(Aggregator):\n{BODY}\nclass Own(Base): ...\n",
        f"from nvflare.apis.fl_context import FLContext\nclass Own:\n{BODY}",
        f"from medl.apps import thing\nfrom nvflare.apis import x\nclass Own(thing.Base):\n{BODY}",
        "from other import Own\n",
        "from other import Base\nclass Own(Base): ...\n",
        "import other\nclass Own(other.Own): ...\n",
    ],
    ids=[
        *("plain", "renamed", "dotted", "by its module", "a base of its own", "duck", "half known"),
        *("passed on", "a base in another file", "of another file by its module"),
    ],
)
def test_it_runs_behind_the_adapter(mmar, source):
    mmar.write("custom/other.py", f"{FROM}class Base(Aggregator):\n{BODY}\nclass Own(Base): ...\n")
    found = declared(mmar, source, weight=2)
    assert ("MMAR530", OWN, 12) in found
    assert {code for code, *_ in found} <= {"MMAR530", "MMAR533", "MMAR520"}
    spec = mmar.check().spec.server.aggregator
    assert spec.declaration == {
        "name": "OldAggregator",
        "args": {"code": {"path": "own.Own", "args": {"weight": 2}}},
    }
    assert (spec.name, spec.args, spec.byoc) == ("own.Own", {"weight": 2}, True)


def test_an_adapter_that_is_declared_by_its_name_is_what_it_says(mmar):
    code = {"path": "own.Own", "args": {"weight": 2}}
    mmar.write("custom/own.py", f"{FROM}class Own(Aggregator):\n{BODY}")
    mmar.server["aggregator"] = {"name": "OldAggregator", "args": {"code": code}}
    validation = mmar.check()
    assert validation.report.valid
    spec = validation.spec.server.aggregator
    assert spec.declaration == {"name": "OldAggregator", "args": {"code": code}}
    assert spec.byoc


def test_filters_and_trainers_too(mmar):
    for name, method in (("Filter", "process"), ("Trainer", "train")):
        lower = name.lower()
        source = f"from nvflare.apis.{lower} import {name}\nclass Own({name}):\n"
        mmar.write(f"custom/{lower}.py", f"{source}    def {method}(self, *a): ...\n")
    mmar.client["client"]["outbound_filters"] = [{"path": "filter.Own"}]
    mmar.client["client_trainer"] = {"path": "trainer.Own"}
    validation = mmar.check()
    assert validation.report.valid
    client = validation.spec.client
    assert client.outbound_filters[0].declaration["name"] == "OldFilter"
    assert client.client_trainer.declaration["name"] == "OldTrainer"


def test_its_arguments_are_those_of_its_constructor(mmar):
    source = f"{FROM}class Own(Aggregator):\n    def __init__(self, weights, decay=1): ...\n{BODY}"
    assert ("MMAR511", OWN, 13) in declared(mmar, source)
    assert {"MMAR512"} == {c for c, *_ in declared(mmar, source, weights=1, wieghts=2)} - {
        "MMAR530"
    }
    assert declared(mmar, source, weights=1) == [("MMAR530", OWN, 12)]


def test_a_method_that_it_lacks_is_named(mmar):
    declared(mmar, f"{FROM}class Own(Aggregator):\n    def accept(self, s, c): ...\n")
    (found,) = [f for f in mmar.findings() if f.severity == "error"]
    assert (found.code, found.message) == ("MMAR521", "The class lacks aggregate.")


@pytest.mark.parametrize(
    ("written", "line", "mend"),
    [
        ("def accept(self, shareable): ...", 3, "def accept(self, shareable, fl_ctx)"),
        ("def accept(self, shareable, fl_ctx, more): ...", 3, "def accept("),
        ("def accept(): ...", 3, "def accept("),
        ("x = 1\n\n    def aggregate(self): ...", 5, "def aggregate(self, fl_ctx)"),
    ],
)
def test_a_method_that_cannot_be_called_is_found_in_its_line(mmar, written, line, mend):
    name = written.partition("def ")[2].partition("(")[0]
    rest = "".join(part for part in BODY.splitlines(keepends=True) if f"def {name}" not in part)
    declared(mmar, f"{FROM}class Own(Aggregator):\n    {written}\n{rest}")

    (found,) = [f for f in mmar.findings() if f.severity == "error"]

    assert (found.code, found.file, found.line) == ("MMAR521", "custom/own.py", line)
    assert mend in found.hint


@pytest.mark.parametrize(
    "written",
    [
        "def accept(self, *a): ...",
        "def accept(self, a, b=1, c=2): ...",
        "def accept(self, a, b=1, *, c=2): ...",
        "@staticmethod\n    def accept(a, b): ...",
    ],
)
def test_a_method_that_may_be_called_is_not_told(mmar, written):
    declared(
        mmar, f"{FROM}class Own(Aggregator):\n    {written}\n    def aggregate(self, c): ...\n"
    )

    assert [f.code for f in mmar.findings() if f.severity == "error"] == []


def test_a_method_of_a_base_is_found_in_its_file(mmar):
    body = "    def accept(self, s): ...\n    def aggregate(self, c): ...\n"
    mmar.write("custom/base.py", f"{FROM}class Base(Aggregator):\n{body}")
    declared(mmar, "from base import Base\nclass Own(Base): ...\n")
    assert [(f.file, f.line) for f in mmar.findings() if f.code == "MMAR521"] == [
        ("custom/base.py", 3)
    ]

    declared(mmar, "from base import Base\nclass Own(Base):\n    def accept(self, s, c): ...\n")
    assert "MMAR521" not in {f.code for f in mmar.findings()}


def test_a_constant_that_is_misspelt_is_found_in_its_line(mmar):
    text = "from nvflare.apis.fl_constant import FLConstants as F\n"
    use = "        return F.CLIENT_NAME, F.NUM_STEPS_CURENT_ROUND\n"
    tried = "        try:\n            return F.OLDER\n        except AttributeError: pass\n"
    body = f"    def accept(self, s, c):\n{tried}{use}    def aggregate(self, c): ...\n"
    declared(mmar, f"{text}{FROM}class Own(Aggregator):\n{body}")

    (found,) = [f for f in mmar.findings() if f.severity == "error"]

    assert (found.code, found.file, found.line) == ("MMAR533", "custom/own.py", 8)
    assert found.message == (
        "'FLConstants' of 'nvflare.apis.fl_constant' has no 'NUM_STEPS_CURENT_ROUND' here."
    )
    assert found.hint == "Did you mean 'NUM_STEPS_CURRENT_ROUND'?"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("from nvflare.apis.shareable import Sharable", "'Shareable'"),
        ("from nvflare.apis.sharable import Shareable", "'nvflare.apis.shareable'"),
    ],
)
def test_a_misspelt_import_names_the_nearest(mmar, text, near):
    declared(mmar, f"{text}\n{FROM}class Own(Aggregator):\n{BODY}")

    (found,) = [f for f in mmar.findings() if f.code == "MMAR533"]

    assert found.hint == f"Did you mean {near}?"


def test_a_class_of_ours_is_nothing_older(mmar):
    mmar.write(
        "custom/own.py",
        "from mmar_runner.interfaces.filter import Filter\nfrom nvflare.apis import x\n"
        "class Own(Filter):\n    def apply(self, n, t): ...\n    def process(self, s, c): ...\n",
    )
    mmar.client["client"]["outbound_filters"] = [{"path": "own.Own"}]
    assert mmar.check().spec.client.outbound_filters[0].declaration["path"] == "own.Own"


def test_without_an_adapter_it_is_said_what_to_install(mmar):
    """MMAR531."""
    mmar.catalog = FakeCatalog()
    declared(mmar, f"{FROM}class Own(Aggregator):\n{BODY}")
    (found,) = [f for f in mmar.findings() if f.severity == "error"]
    assert (found.code, found.file, found.line) == ("MMAR531", OWN, 12)
    assert "written to nvflare.apis.aggregator.Aggregator" in found.message
    assert "mmar-runner-clara-code" in found.hint


@pytest.mark.parametrize(
    ("place", "source"),
    [
        (
            "aggregator",
            "from fed_learn.x import Y\nclass Own(Y):\n    def process(self, a, c): ...",
        ),
        ("aggregator", f"{FROM}class Own(Aggregator):\n    def process(self, a, c): ..."),
        ("filter", "from medl.x import PrivacyProtocol\nclass Own(PrivacyProtocol):\n    x = 1"),
        ("filter", "from nvmidl.x import y\nclass Own:\n    def apply(self, diff, ctx): ..."),
    ],
)
def test_the_first_generation_is_not_run(mmar, place, source):
    """MMAR532."""
    mmar.write("custom/own.py", f"{source}\n")
    if place == "aggregator":
        mmar.server["aggregator"] = {"path": "own.Own"}
    else:
        mmar.client["client"]["outbound_filters"] = [{"path": "own.Own"}]
    errors = [f for f in mmar.findings() if f.severity == "error"]
    assert [f.code for f in errors] == ["MMAR532"]
    assert errors[0].hint.startswith("Use ")


def test_what_is_imported_and_not_provided_is_said(mmar):
    """MMAR533: a module, and a name; what is provided is not said to be missing."""
    source = (
        f"from nvflare.apis.engine import E\n{FROM.strip()}, Other\nclass Own(Aggregator):\n{BODY}"
    )
    found = declared(mmar, source)
    assert ("MMAR533", "custom/own.py", 1) in found
    assert ("MMAR533", "custom/own.py", 2) in found
    assert "MMAR520" not in {code for code, *_ in found}
    assert {f.severity for f in mmar.findings() if f.code == "MMAR533"} == {"error"}
    hints = {f.line: f.hint for f in mmar.findings() if f.code == "MMAR533"}
    assert hints[2] == "There is: Aggregator."
    assert "nvflare.apis.filter" in hints[1]


def test_what_is_not_provided_to_code_that_nobody_names_is_a_warning(mmar):
    """MMAR533: the code that is named imports another file, and not the spare one."""
    for name in ("spare", "helper"):
        mmar.write(f"custom/{name}.py", "from nvflare.apis.engine import E\n")
    declared(mmar, f"{FROM}import helper\nclass Own(Aggregator):\n{BODY}")
    found = {f.file: f.severity for f in mmar.findings() if f.code == "MMAR533"}
    assert found == {"custom/spare.py": "warning", "custom/helper.py": "error"}


def test_bases_in_a_circle_end(mmar):
    mmar.write("custom/other.py", "from own import Own\nclass Base(Own): ...\n")
    found = declared(mmar, "from other import Base\nclass Own(Base): ...\n")
    assert "MMAR530" not in {code for code, *_ in found}
