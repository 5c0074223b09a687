# SPDX-License-Identifier: Apache-2.0
"""References in workflow files: of another kind, switched off, ambiguous, with arguments."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from tests.unit.mmar.conftest import _COMPONENTS, FakeCatalog

_PARTS = {
    "/train/model": "model",
    "/train/optimizer": "optimizer",
    "/train/pre_transforms/*": "transform",
    "/train/metrics/*": "metric",
    "/validate/pre_transforms/*": "transform",
}


_YIELDS = {"shape": [1], "classes": 2}


def _with(component, parts):
    if component.kind is not ComponentKind.CLIENT_TRAINER:
        return component
    return replace(component, extras={**component.extras, "train_parts": parts})


_LOAD = ComponentDescription(
    ComponentKind.TRANSFORM, "Load", "not_there.load:Load", {"type": "object"}
)


@pytest.fixture
def job(mmar):
    mmar.catalog = FakeCatalog((*(_with(c, _PARTS) for c in _COMPONENTS), _LOAD))
    mmar.train["train"]["pre_transforms"] = [
        {"name": "Load#image", "args": {"keys": ["image"], "dtype": "f4"}}
    ]
    return mmar


def _refer(job, **more):
    job.train["validate"] = {"pre_transforms": [{"ref": "image", **more}]}


def _line(job, file, text):
    lines = job.root.joinpath(file).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_reference_to_a_part_of_its_kind_is_sound(job):
    _refer(job)
    assert job.findings() == ()


def test_a_reference_to_a_part_of_another_kind(job):
    job.train["train"]["metrics"].append({"ref": "image"})
    found = job.only()

    assert (found.code, found.pointer) == ("MMAR502", "/train/metrics/1/ref")
    assert found.line == _line(job, "config/config_train.json", '"ref": "image"')
    line = _line(job, "config/config_train.json", "Load#image") - 1  # where its object begins
    assert f"'image' is a transform (config/config_train.json:{line}), not a metric" in (
        found.message
    )
    assert "declare one here" in found.hint


def test_a_name_of_two_kinds_leads_to_the_first_and_wants_a_label(job):
    job.train["train"]["pre_transforms"].append({"name": "Load#AUC"})
    job.train["train"]["metrics"].append({"ref": "AUC"})
    found = job.only()

    assert (found.code, found.pointer) == ("MMAR502", "/train/metrics/1/ref")
    assert '"AUC#Label"' in found.hint


def test_a_reference_to_what_is_switched_off(job):
    job.train["train"]["pre_transforms"][0]["disabled"] = True
    _refer(job)
    found = job.only()

    assert (found.code, found.severity) == ("MMAR517", "warning")
    assert found.pointer == "/validate/pre_transforms/0/ref"
    assert "is switched off, and so is what refers to it" in found.message


def test_what_is_needed_must_not_refer_to_what_is_switched_off(job):
    job.train["train"]["model"] = {"ref": "image"}
    job.train["train"]["pre_transforms"][0]["disabled"] = True
    job.server["model_persistor"] = {"name": "Persistor"}
    parts = {**_PARTS, "/train/model": "transform"}  # of the kind that is there
    job.catalog = FakeCatalog((*(_with(c, parts) for c in _COMPONENTS), _LOAD))
    found = job.only()

    assert (found.code, found.pointer) == ("MMAR516", "/train/model/ref")


@pytest.mark.parametrize("switch", [True, "{OFF}"])
def test_a_reference_that_is_switched_off_may_lead_to_nothing(job, switch):
    job.train["OFF"] = True
    job.train["train"]["pre_transforms"].append({"ref": "nope", "disabled": switch})
    assert job.findings() == ()
    job.train["train"]["pre_transforms"][1]["disabled"] = False
    assert job.only().code == "MMAR517"


def test_a_data_set_may_be_a_reference(job):
    job.train["train"]["dataset"] = {"name": "Data", "args": {"n": 1}}
    job.train["validate"] = {"dataset": {"ref": "Data"}}
    parts = {**_PARTS, "/train/dataset": "dataset", "/validate/dataset": "dataset"}
    data = ComponentDescription(ComponentKind.DATASET, "Data", "not_there:Data", {"type": "object"})
    job.catalog = FakeCatalog(
        (*(_with(c, parts) for c in _COMPONENTS), _LOAD, replace(data, extras={"yields": _YIELDS}))
    )
    assert job.findings() == ()


def test_a_label_that_stands_twice_is_ambiguous_where_it_is_used(job):
    job.train["train"]["pre_transforms"].append({"name": "Load#image", "args": {"keys": ["x"]}})
    assert job.findings() == ()  # nobody refers to it
    _refer(job)
    found = job.only()

    assert (found.code, found.severity) == ("MMAR523", "warning")
    assert found.pointer == "/validate/pre_transforms/0/ref"
    assert "may mean 2 parts" in found.message
    assert "the first one is taken" in found.message


def test_parts_that_are_alike_may_have_one_name(job):
    part = job.train["train"]["pre_transforms"][0]
    job.train["train"]["pre_transforms"].append({**part, "name": "Load#label"})
    job.train["validate"] = {"pre_transforms": [{"ref": "Load"}]}
    assert job.findings() == ()


def test_arguments_beside_a_reference_replace_all_of_them(job):
    _refer(job, args={"keys": ["label"]})
    found = job.only()

    assert (found.code, found.severity) == ("MMAR406", "warning")
    assert found.pointer == "/validate/pre_transforms/0/args"
    assert "'dtype' is lost" in found.message
    _refer(job, args={"keys": ["label"], "dtype": "f8"})
    assert job.findings() == ()


@pytest.fixture
def strict(job):
    """The same, read by a trainer that knows every key of the section."""
    known = {key: {} for key in job.train["train"]}
    section = {"type": "object", "properties": known, "additionalProperties": False}
    schema = {"type": "object", "properties": {"train": section}}
    components = [
        replace(one, extras={**one.extras, "train_schema": schema})
        if one.kind is ComponentKind.CLIENT_TRAINER
        else one
        for one in job.catalog._components
    ]
    job.catalog = FakeCatalog(tuple(components))
    return job


def test_what_stands_under_a_misspelt_key_is_one_error_there(strict):
    strict.train["train"]["pre_transform"] = strict.train["train"].pop("pre_transforms")
    strict.train["validate"] = {"pre_transforms": [{"ref": "image"}, {"ref": "Load"}]}

    errors = [f for f in strict.findings() if f.severity == "error"]

    assert [(f.code, f.pointer) for f in errors] == [("MMAR404", "/train/pre_transform")]
    assert errors[0].message.endswith("; references lead to what stands there.")
    assert "'pre_transforms'" in errors[0].hint


def test_an_unknown_key_that_nothing_refers_to_stays_a_warning(strict):
    strict.train["train"]["pre_transform"] = [{"name": "Load#other", "args": {}}]
    _refer(strict)

    assert [(f.code, f.severity) for f in strict.findings()] == [("MMAR404", "warning")]
