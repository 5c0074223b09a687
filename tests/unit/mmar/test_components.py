# SPDX-License-Identifier: Apache-2.0
"""Components: what counts, what is off, code that an MMAR brings."""

from __future__ import annotations

import pytest

from mmar_runner.errors import PluginConflictError

SERVER = "config/config_fed_server.json"


def test_an_older_name_is_noted_and_the_registered_one_is_built(mmar):
    mmar.server["aggregator"] = {"path": "old.package.Aggregator", "args": {}}

    checked = mmar.check()

    assert [f.code for f in checked.report.findings] == ["MMAR515"]
    assert checked.spec.server.aggregator.declaration == {"name": "FedAvg", "args": {}}


def test_a_class_under_a_prefix_keeps_its_path(mmar):
    mmar.train["train"]["optimizer"]["path"] = "torch.optim.lr.Wrapped"

    assert mmar.check().report.valid
    mmar.train["train"]["optimizer"]["path"] = "torchoptim.SGD"
    assert mmar.only().code == "MMAR508"


def test_the_path_counts_where_both_are_given(mmar):
    mmar.server["aggregator"] = {"name": "FedAgv", "path": "FedAvg", "args": {}}

    checked = mmar.check()

    assert [f.code for f in checked.report.findings] == ["MMAR505"]
    assert checked.spec.server.aggregator.name == "FedAvg"


@pytest.mark.parametrize("off", [{}, {"name": "NotThere", "disabled": True}])
def test_what_is_empty_or_switched_off_is_no_component(mmar, off):
    mmar.server["handlers"] = [off, {"name": "Best"}]
    mmar.server["model_validator"] = off

    server = mmar.check().spec.server

    assert [h.name for h in server.handlers] == ["Best"]
    assert server.model_validator is None


def test_what_is_off_inside_arguments_is_left_out(mmar):
    steps = [{"name": "Best", "disabled": True}, {"name": "Chain"}, {}]
    mmar.server["handlers"] = [{"name": "Chain", "args": {"steps": steps}}]
    mmar.server["model_persistor"]["args"]["model"] = {}

    checked = mmar.check()

    assert checked.report.findings == ()
    assert checked.spec.server.handlers[0].declaration == {
        "name": "Chain",
        "args": {"steps": [{"name": "Chain", "args": {}}]},
    }
    assert checked.spec.server.model_persistor.args == {}


def test_old_archives_warnings_are_errors_in_strict_ones(mmar):
    mmar.server["aggregator"]["path2"] = "x.Y"

    assert mmar.check().report.valid
    mmar.server["strict"] = True
    assert [f.severity for f in mmar.findings()] == ["error"]


def test_a_name_that_two_plugins_claim_is_an_error_here(mmar):
    find = mmar.catalog.find

    def conflicting(kind, name):
        if name == "FedAvg":
            raise PluginConflictError("aggregator 'FedAvg' is claimed by a and b", hint="remove a")
        return find(kind, name)

    mmar.catalog.find = conflicting

    finding = mmar.only()

    assert (finding.code, finding.pointer, finding.hint) == (
        "MMAR518",
        "/aggregator/name",
        "Remove a",
    )


def test_broken_plugins_are_named_where_something_is_missing(mmar):
    mmar.catalog.broken = lambda: {"hospital-plugin": "ImportError"}
    mmar.server["aggregator"] = {"name": "Median"}

    assert "hospital-plugin" in mmar.only().hint


# -- code that the MMAR brings ---------------------------------------------------------------


def test_own_code_is_found_by_its_file_and_never_imported(mmar):
    source = "raise SystemExit('imported')\nfrom bases import Base\nclass Mean(Base): ...\n"
    mmar.write("custom/mean.py", source)
    mmar.write("custom/bases.py", "class Base: ...\n")
    mmar.client["client_trainer"] = {"path": "mean.Mean", "args": {"anything": 1}}

    checked = mmar.check()

    assert [(f.code, f.file) for f in checked.report.findings] == [
        ("MMAR614", "custom/bases.py"),
        ("MMAR614", "custom/mean.py"),
    ]
    trainer = checked.spec.client.client_trainer
    assert trainer.byoc
    assert trainer.declaration == {"path": "mean.Mean", "args": {"anything": 1}}
    assert checked.report.byoc


@pytest.mark.parametrize(
    ("declared", "pointer"),
    [
        ({"aggregator": {"path": "mean.Mean"}}, "/aggregator/path"),
        ({"handlers": [{"name": "Best"}, {"path": "mean.Mean"}]}, "/handlers/1/path"),
        (
            {"handlers": [{"name": "Chain", "args": {"steps": [{"path": "mean.Mean"}]}}]},
            "/handlers/0/args/steps/0/path",
        ),
    ],
)
def test_the_server_runs_no_code_of_the_mmar(mmar, declared, pointer):
    mmar.write("custom/mean.py", "class Mean: ...\n")
    mmar.server.update(declared)

    (finding,) = (f for f in mmar.findings(side="server") if f.severity != "note")

    assert (finding.code, finding.file, finding.pointer) == ("MMAR625", SERVER, pointer)
    assert "--plugins-dir" in finding.hint
    assert {f.severity for f in mmar.findings(side="client")} == {"note"}


@pytest.mark.parametrize(
    ("path", "code", "hint"),
    [
        ("mena.Mean", "MMAR508", "'mean'"),
        ("mean.Maen", "MMAR509", "'Mean'"),
        ("package.inner.Thing", None, None),
        ("package.Top", None, None),
        ("package.Number", "MMAR509", "Top"),
        ("package.outer.Thing", "MMAR508", "package.inner"),
        ("../mean.Mean", "MMAR503", "module.Class"),
    ],
)
def test_paths_into_custom(mmar, path, code, hint):
    mmar.write("custom/mean.py", "class Mean: ...\n")
    mmar.write("custom/package/__init__.py", "from .inner import Thing as Top\nNumber = 1\n")
    mmar.write("custom/package/inner.py", "import mean\nclass Thing(mean.Mean): ...\n")
    mmar.client["client_trainer"] = {"path": path}

    found = [f for f in mmar.findings() if f.severity != "note"]

    assert [f.code for f in found] == ([code] if code else [])
    if hint:
        assert hint in found[0].hint


@pytest.mark.parametrize(
    "file",
    ["config/x.py", "run.sh", "lib.so", "a.pth", "note.ipynb", "conftest.pyc", "program", "a.PY"],
)
def test_code_outside_custom_counts_as_code(mmar, file):
    mmar.write(file, "x")

    checked = mmar.check()

    assert checked.report.byoc
    assert [(f.code, f.file) for f in checked.report.findings] == [("MMAR622", file)]


@pytest.mark.parametrize(
    "file", ["docs/Readme.md", "LICENSE", "commands/train.sh", "resources/a.CSV", "eval/a.nii.gz"]
)
def test_data_is_no_code(mmar, file):
    mmar.write(file, "x")

    checked = mmar.check()

    assert not checked.report.byoc
    assert checked.report.findings == ()


def test_a_module_with_the_name_of_another_is_told(mmar):
    mmar.write("custom/json.py", "")
    mmar.write("custom/mmar_runner/__init__.py", "")

    found = [f.file for f in mmar.findings() if f.code == "MMAR510"]

    assert found == ["custom/json.py", "custom/mmar_runner/__init__.py"]


# -- filters --------------------------------------------------------------------------------


def test_filters_are_undone_in_reverse_order(mmar):
    mmar.client["client"]["outbound_filters"] = [{"name": "Lock"}, {"name": "Pack"}]
    mmar.server["inbound_filters"] = [{"name": "Unpack"}, {"name": "Unlock"}]
    assert mmar.findings() == ()

    mmar.server["inbound_filters"].reverse()
    finding = mmar.only()

    assert (finding.code, finding.file, finding.pointer) == (
        "MMAR605",
        SERVER,
        "/inbound_filters/0",
    )
    assert "Unpack, Unlock" in finding.hint


def test_a_filter_that_undoes_needs_something_to_undo(mmar):
    mmar.server["inbound_filters"] = [{"name": "Unlock"}]

    found = mmar.only()

    assert (found.code, found.pointer) == ("MMAR605", "/inbound_filters/0")


def test_filters_of_a_side_may_stand_beside_client(mmar):
    mmar.client["outbound_filters"] = mmar.client["client"].pop("outbound_filters")

    checked = mmar.check()

    assert checked.report.findings == ()
    assert [f.name for f in checked.spec.client.outbound_filters] == ["Scale"]
