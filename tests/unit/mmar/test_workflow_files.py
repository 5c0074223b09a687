# SPDX-License-Identifier: Apache-2.0
"""What is asked of the training and validation files, by whom, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
from mmar_runner.mmar.checks.places import places

TRAIN, VALIDATION = "config/config_train.json", "config/config_validation.json"
OWN = {"path": "mean.Mean"}


def _catalog(mmar, kind, name, **extras):
    """Return the catalog with a component that states these facts of itself."""
    schema = {"type": "object"}
    made = ComponentDescription(ComponentKind(kind), name, "x:Y", schema, extras=extras)
    others = [c for c in mmar.catalog._components if c.name != name]
    return type(mmar.catalog)((*others, made))


def _told(mmar, **options):
    return [
        (f.code, f.file, f.pointer)
        for f in mmar.findings(**options)
        if f.severity in {"error", "warning"}
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/a/b", [("a", "b")]),
        ("/a/*", [("a", "b"), ("a", "c")]),
        ("/*/0", [("d", 0)]),
        ("/d/*/x", [("d", 0, "x")]),
        ("/e", []),
        ("/a/b/c", []),
    ],
)
def test_a_pattern_names_places(pattern, found):
    assert places({"a": {"b": 1, "c": 2}, "d": [{"x": 1}, {"y": 2}]}, pattern) == found


def test_a_reference_may_name_a_part_or_its_label(mmar):
    mmar.train["train"]["post"] = [{"ref": name} for name in ("Net", "AUC#mean", "AUC", "mean")]
    mmar.train["train"]["metrics"] = [{"name": "AUC#mean"}]
    mmar.catalog = _catalog(mmar, "metric", "AUC#mean")
    assert _told(mmar) == []
    mmar.train["train"]["post"] += [{"ref": "median"}, {"ref": "x", "name": "Net"}, {"ref": 3}]
    assert _told(mmar) == [("MMAR517", TRAIN, "/train/post/4/ref")]


def test_a_reference_leads_to_no_object_that_is_no_part(mmar):
    mmar.train["determinism"] = {"x": {"name": "hidden", "path": "os.system"}}
    mmar.train["train"]["post"] = [{"ref": "hidden"}]
    mmar.catalog = _catalog(mmar, "client_trainer", "Reader", train_parts={"/train/post/*": "loss"})
    mmar.client["client_trainer"] = {"name": "Reader"}
    assert ("MMAR517", TRAIN, "/train/post/0/ref") in _told(mmar)


def test_what_refers_and_what_is_referred_to_may_be_in_two_files(mmar):
    mmar.write(VALIDATION, '{"use": {"ref": "Net"}, "other": {"ref": "Nat"}}')
    (finding,) = mmar.findings()
    assert (finding.code, finding.file, finding.pointer) == ("MMAR517", VALIDATION, "/other/ref")
    assert finding.message == "Nothing is named or labelled 'Nat'."
    assert finding.hint == "Did you mean 'Net'?"


def test_the_validation_file_is_read_by_whom_it_concerns(mmar):
    schema = {"type": "object", "required": ["metrics"]}
    mmar.catalog = _catalog(
        mmar,
        "model_validator",
        "Judge",
        validation_schema=schema,
        validation_parts={"/metrics/*": "metric"},
    )
    mmar.server["model_validator"] = {"name": "Judge"}
    assert _told(mmar) == [("MMAR609", TRAIN, "")]  # no file of its own, no section in this one
    mmar.write(VALIDATION, "{}")
    assert _told(mmar) == [("MMAR401", VALIDATION, "")]
    mmar.write(VALIDATION, '{"metrics": [{"name": "AUC"}, {"name": "AUK"}]}')
    assert _told(mmar) == [("MMAR501", VALIDATION, "/metrics/1/name")]


@pytest.mark.parametrize("fact", ["train_schema", "train_parts"])
def test_the_training_file_is_missed_by_whoever_reads_it(mmar, fact):
    trainer = mmar.catalog.find(ComponentKind.CLIENT_TRAINER, "Trainer")
    extras = {"produces": ["weights"], "sends_topics": ["metrics"]}
    others = [c for c in mmar.catalog._components if c.name != "Trainer"]
    mmar.train = None
    mmar.catalog = type(mmar.catalog)((*others, replace(trainer, extras=extras)))
    assert _told(mmar) == []
    extras = {**extras, fact: trainer.extras[fact]}
    mmar.catalog = type(mmar.catalog)((*others, replace(trainer, extras=extras)))
    finding = mmar.only()
    assert (finding.code, finding.file) == ("MMAR609", TRAIN)
    assert finding.message == f"'Trainer' needs {TRAIN}, which is missing."


def test_a_training_file_that_cannot_be_read_is_not_missed_too(mmar):
    mmar.train = None
    mmar.write(TRAIN, "{")
    assert "MMAR609" not in [code for code, _, _ in _told(mmar)]


@pytest.mark.parametrize(
    ("fact", "file", "text", "pointer"),
    [
        ("train_parts", TRAIN, None, "/train/model/path"),
        ("validation_parts", VALIDATION, '{"train": {"model": {"path": "mean.Mean"}}}', None),
    ],
)
def test_a_server_that_validates_builds_no_code_of_the_mmar(mmar, fact, file, text, pointer):
    mmar.write("custom/mean.py", "class Mean: ...\n")
    mmar.catalog = _catalog(mmar, "model_validator", "Judge", **{fact: {"/train/model": "model"}})
    mmar.server["model_validator"] = {"name": "Judge"}
    if text is None:
        mmar.train["train"]["model"] = OWN
    else:
        mmar.write(file, text)
    assert _told(mmar, side="server") == []  # it is never asked to validate
    mmar.server["validate_every"] = 1
    expected = ("MMAR625", file, pointer or "/train/model/path")
    assert _told(mmar, side="server") == [expected]


def test_every_component_that_a_server_would_not_run_is_told(mmar):
    mmar.client["handlers"] = [{"name": "Best", "disabled": True}, {"name": "Best"}]
    assert sorted(_told(mmar)) == [
        ("MMAR626", "config/config_fed_client.json", "/handlers/1"),
    ]


def test_a_trainer_that_is_switched_off_is_missed(mmar):
    mmar.client["client_trainer"]["disabled"] = True
    finding = mmar.only()
    assert (finding.code, finding.pointer) == ("MMAR516", "/client_trainer")


def test_of_code_that_is_not_python_nothing_else_is_said(mmar):
    mmar.write("custom/mean.py", "class Mean(\n")
    mmar.server["aggregator"] = OWN
    assert [told for told in _told(mmar) if told[0] in {"MMAR519", "MMAR625"}] == [
        ("MMAR519", "custom/mean.py", "")
    ]


def test_what_belonged_to_an_older_program_is_not_to_be_installed(mmar):
    mmar.write("custom/mean.py", "import medl\nimport somewhere\n")
    hints = {f.message: f.hint for f in mmar.findings() if f.code == "MMAR520"}
    assert "older program" in hints["'medl' is neither in custom/ nor installed here."]
    assert "older program" not in hints["'somewhere' is neither in custom/ nor installed here."]
