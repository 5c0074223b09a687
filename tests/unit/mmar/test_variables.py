# SPDX-License-Identifier: Apache-2.0
"""Variables: precedence, types, and what nobody defines."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.mmar.sources.variables import circles, client_variables, parse_setting
from tests.unit.mmar.conftest import _COMPONENTS, FakeCatalog


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("A=1", ("A", 1)),
        ("A=0.5", ("A", 0.5)),
        ("A=true", ("A", True)),
        ("A=null", ("A", None)),
        ('A="1"', ("A", "1")),
        ("A=x=y", ("A", "x=y")),
        ("A=", ("A", "")),
        ("A=[1]", ("A", "[1]")),
        ("A=NaN", ("A", "NaN")),
        ("A=/data/1", ("A", "/data/1")),
    ],
)
def test_a_setting_is_a_json_scalar_or_text(text, setting):
    key, value = parse_setting(text)

    assert (key, value, type(value)) == (*setting, type(setting[1]))


@pytest.mark.parametrize("text", ["A", "=1", "1A=1", "A B=1"])
def test_what_is_no_setting_is_wrong_usage(text):
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_setting(text)


def test_settings_beat_the_environment_which_beats_the_files_own(mmar):
    mmar.environment |= {"B": "environment", "C": "environment"}
    mmar.train |= {"A": "file", "B": "file", "C": "file", "x": ["{A}", "{B}", "{C}"]}

    spec = mmar.check(settings={"C": "setting"}).spec

    assert spec.train_config["x"] == ["file", "environment", "setting"]


def test_a_variable_keeps_its_type_only_as_the_whole_text(mmar):
    mmar.environment |= {"N": 3, "F": 0.5, "T": True, "Z": None}
    mmar.train["x"] = ["{N}", "{F}", "{T}", "{Z}", "n={N} f={F} t={T} z={Z}"]

    assert mmar.check().spec.train_config["x"] == [3, 0.5, True, None, "n=3 f=0.5 t=true z=null"]


def test_a_variable_may_hold_a_variable(mmar):
    mmar.environment |= {"LIST": "{DATA_ROOT}/list.json"}
    mmar.train["list"] = "{LIST}"

    assert mmar.check().spec.train_config["list"] == "/data/list.json"


def test_the_workflow_files_own_scalars_are_overridden_in_place(mmar):
    mmar.environment |= {"learning_rate": 0.2}

    assert mmar.check().spec.train_config["learning_rate"] == 0.2
    assert mmar.check(settings={"learning_rate": 1}).spec.train_config["train"]["optimizer"] == {
        "path": "torch.optim.SGD",
        "args": {"lr": 1},
    }


def test_numbers_of_the_server_file_may_be_variables(mmar):
    mmar.environment |= {"NUM_ROUNDS": 3, "MIN_NUM_CLIENTS": 2}
    mmar.task.update(num_rounds="{NUM_ROUNDS}", min_num_clients="{MIN_NUM_CLIENTS}")

    assert mmar.check().spec.server.num_rounds == 3
    finding = mmar.only(settings={"NUM_ROUNDS": "three"})
    assert (finding.code, finding.pointer) == ("MMAR402", "/servers/0/num_rounds")


def test_an_undefined_number_is_an_error_an_undefined_text_a_warning(mmar):
    mmar.task["num_rounds"] = "{ROUNDS}"
    mmar.train["list"] = "{LIST}"

    found = {(f.code, f.pointer): f.severity for f in mmar.findings()}

    assert found == {
        ("MMAR301", "/servers/0/num_rounds"): "error",
        ("MMAR301", "/list"): "warning",
    }


def test_an_undefined_variable_keeps_its_side_from_running(mmar):
    mmar.train |= {"a": "{nowhere}", "b": "epoch {epoch}", "c": ["{NOWHERE}/{CLIENT_NAME}.csv"]}

    def unfilled(side, **settings):
        validation = mmar.check(side=side, settings=settings)
        assert validation.report.valid
        return [(found.file, found.pointer) for found in validation.unfilled]

    train = "config/config_train.json"
    assert unfilled("client") == [(train, "/a"), (train, "/c/0")]
    assert unfilled("all") == unfilled("client")
    assert unfilled("server") == []
    assert unfilled("client", NOWHERE="/data", nowhere="/data") == []


def test_an_undefined_number_is_told_once(mmar):
    mmar.task["num_rounds"] = "{ROUNDS}"

    validation = mmar.check()
    assert [found.code for found in validation.report.errors] == ["MMAR301"]
    assert validation.unfilled == ()


def test_what_is_switched_off_keeps_nobody_from_running(mmar):
    mmar.train["handlers"] = [{"name": "Loader", "disabled": True, "args": {"path": "{NOWHERE}"}}]

    assert mmar.check(side="client").unfilled == ()


def test_what_is_switched_off_needs_no_variables(mmar):
    mmar.train |= {
        "off": True,
        "handlers": [
            {"name": "Loader", "disabled": "{off}", "args": {"path": "{NOWHERE}"}},
            {"name": "Saver", "disabled": False, "args": {"path": "{NOBODY}"}},
        ],
    }

    assert mmar.only().pointer == "/handlers/1/args/path"


def test_an_expression_in_braces_is_left_alone(mmar):
    mmar.train["x"] = ["{}", "{0}", "{a b}", "{{", "conv{2,3}"]

    assert mmar.check().spec.train_config["x"] == ["{}", "{0}", "{a b}", "{{", "conv{2,3}"]
    assert mmar.check().report.findings == ()


def test_a_circle_is_shown_with_its_way(mmar):
    mmar.environment |= {"A": "{B}", "B": "{A}"}
    mmar.train["x"] = "{A}"

    assert "A -> B -> A" in mmar.only().message


def test_the_runner_defines_who_the_client_is(mmar):
    mmar.train["who"] = "{CLIENT_NAME} {SITE_INDEX}/{NUM_SITES}"
    mmar.environment |= {"MIN_NUM_CLIENTS": 3}
    checked = mmar.check()

    assert checked.report.findings == ()
    assert checked.spec.train_config["who"] == "site-1 1/3"
    assert checked.spec_for("site-2").train_config["who"] == "site-2 2/3"
    assert checked.spec_for("hospital").train_config["who"] == "hospital 1/3"
    assert checked.spec_for("site-2").client == checked.spec.client


def test_nothing_overrides_the_clients_name():
    given = {"CLIENT_NAME": "x", "SITE_INDEX": 5, "NUM_SITES": 9}

    assert client_variables("site-2", given) == {
        "CLIENT_NAME": "site-2",
        "SITE_INDEX": 5,
        "NUM_SITES": 9,
    }


def test_a_setting_that_nothing_uses_is_a_slip(mmar):
    mmar.environment |= {"NUM_ROUNDS": 3}
    mmar.task["num_rounds"] = "{NUM_ROUNDS}"

    own = {"SITE_INDEX": 1, "NUM_SITES": 3, "CLIENT_NAME": "x"}  # the runner may use these
    finding = mmar.only(settings={"NUM_ROUND": 5, **own})

    assert finding.code == "MMAR303"
    assert "'NUM_ROUNDS'" in finding.hint
    assert mmar.only(settings={"NUM_ROUND": 5}, side="server").code == "MMAR303"


def test_a_setting_of_the_other_side_is_told_on_this_one(mmar):
    mmar.environment |= {"NUM_ROUNDS": 3, "EPOCHS": "{TWICE}", "TWICE": 2, "MIN_NUM_CLIENTS": 1}
    mmar.task.update(num_rounds="{NUM_ROUNDS}", min_num_clients="{MIN_NUM_CLIENTS}")
    mmar.client["client_trainer"]["args"] = {"local_epochs": "{EPOCHS}"}
    settings = {"NUM_ROUNDS": 1, "TWICE": 4, "learning_rate": 0.1}
    mmar.train["learning_rate"] = 0.2

    at_server = mmar.only(settings=settings, side="server")
    at_client = mmar.only(settings=settings, side="client")

    assert at_server.code == at_client.code == "MMAR305"
    assert at_server.message == "The setting TWICE is used only by clients."
    assert "run-client" in at_server.hint
    assert at_client.message == "The setting NUM_ROUNDS is used only by the server."
    assert "run-server" in at_client.hint
    assert mmar.findings(settings=settings) == ()


def test_the_least_number_of_clients_is_a_clients_too_if_it_counts_sites(mmar):
    mmar.environment |= {"MIN_NUM_CLIENTS": 1}
    mmar.task["min_num_clients"] = "{MIN_NUM_CLIENTS}"
    settings = {"MIN_NUM_CLIENTS": 3}
    assert mmar.only(settings=settings, side="client").code == "MMAR305"

    mmar.client["client_trainer"]["args"] = {"local_epochs": "{NUM_SITES}"}

    assert mmar.findings(settings=settings, side="client") == ()


def test_what_is_not_there_may_take_any_setting(mmar):
    mmar.client = None

    assert mmar.findings(settings={"EPOCHS": 5}, side="server") == ()


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"A": "{A}"}, [["A"]]),
        ({"A": "{B}", "B": "x{A}y"}, [["A", "B"]]),
        ({"C": "{A}", "A": "{B}", "B": "{A}"}, [["A", "B"]]),
        ({"A": "{B}", "B": "{A}", "X": "{Y}", "Y": "{X}"}, [["A", "B"], ["X", "Y"]]),
        ({"A": "{B} {C}", "B": "{D}", "C": "{D}", "D": 1}, []),
        ({"A": "{NOBODY}", "B": None}, []),
    ],
)
def test_each_circle_is_found_once(variables, found):
    assert circles(variables, ()) == found


def test_each_variable_is_followed_once_however_many_ways_lead_to_it():
    layers = [(f"A{n}", f"B{n}") for n in range(60)]
    variables = {
        name: f"{{{after[0]}}}{{{after[1]}}}" for layer, after in pairwise(layers) for name in layer
    }
    assert circles(variables | {"A59": "1", "B59": "{A0}"}, ()) == [
        [*(f"A{n}" for n in range(59)), "B59"]
    ]
    assert circles(variables | {"A59": "1", "B59": "2"}, ()) == []


def test_a_setting_breaks_a_circle():
    assert circles({"A": "{B}", "B": "{A}"}, {"B"}) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda file: file.unlink(), id="missing"),
        pytest.param(lambda file: file.rename(file.with_name("config_trian.json")), id="misnamed"),
        pytest.param(lambda file: file.write_text(file.read_text()[:40]), id="cut off"),
        pytest.param(lambda file: file.write_bytes(b"\xff\xfe{}"), id="not UTF-8"),
    ],
)
@pytest.mark.parametrize("side", ["all", "client"])
def test_a_setting_of_a_file_that_cannot_be_read_is_no_slip(mmar, damage, side):
    mmar.environment |= {"NUM_ROUNDS": 3}
    mmar.task["num_rounds"] = "{NUM_ROUNDS}"
    mmar.train["train"]["folder"] = "{TABLES}"
    file = mmar.save() / "config" / "config_train.json"
    damage(file)

    found = mmar.findings(saved=True, settings={"TABLES": "/data"}, side=side)

    assert found
    assert {f.code for f in found}.isdisjoint({"MMAR303", "MMAR305"})


def test_a_setting_of_a_misnamed_file_is_no_slip(mmar):
    mmar.environment |= {"NUM_ROUNDS": 3}
    mmar.task["num_rounds"] = "{NUM_ROUNDS}"
    file = mmar.save() / "config" / "config_valdation.json"
    file.write_text('{"validate": {"folder": "{TABLES}"}}')

    found = mmar.findings(saved=True, settings={"TABLES": "/data"})

    assert [f.code for f in found] == ["MMAR109"]


def test_a_setting_that_is_a_relative_path_is_told_with_the_whole_one(mmar, monkeypatch, tmp_path):
    mmar.train["train"]["folder"] = "{TABLES}"
    (tmp_path / "my tables").mkdir()
    monkeypatch.chdir(tmp_path)

    for side in ("all", "client"):
        finding = mmar.only(settings={"TABLES": "my tables"}, side=side)
        assert finding.code == "MMAR307"
        assert f"--set TABLES='{tmp_path / 'my tables'}'" in finding.hint

    no_path = ["", "tables", 3, str(tmp_path / "my tables"), "a\0b", "x" * 5000]
    for value in no_path:
        assert mmar.findings(settings={"TABLES": value}) == ()
    mmar.write("resources/list.txt", "")
    monkeypatch.chdir(mmar.root)
    assert mmar.findings(settings={"TABLES": "resources/list.txt"}) == ()  # relative to the MMAR


_GIVES_NOTHING = "{NOT_DEFINED}"


@pytest.mark.parametrize(
    "change",
    [
        lambda mmar: mmar.server.update(admin_host=_GIVES_NOTHING),
        lambda mmar: mmar.task.update(ssl_cert=f"{_GIVES_NOTHING}/a.pem"),
        lambda mmar: mmar.server.update(shareable_generator={"args": {"a": _GIVES_NOTHING}}),
        lambda mmar: mmar.client["client"].update(retry_timeout=_GIVES_NOTHING),
        lambda mmar: mmar.server["inbound_filters"].append(
            {"name": "DataDeCompressor", "args": {"level": _GIVES_NOTHING}}
        ),
        lambda mmar: mmar.train.update(_comment=f"as in {_GIVES_NOTHING}"),
        lambda mmar: mmar.train["train"].update({"//": [_GIVES_NOTHING]}),
    ],
)
def test_where_nobody_reads_it_a_variable_needs_no_value(mmar, change):
    change(mmar)
    assert {f.severity for f in mmar.findings()} <= {"note"}


def test_what_is_not_defined_is_told_where_it_is_read(mmar):
    mmar.server["admin_host"] = "{HOST}"
    mmar.client["client"]["retry_timeout"] = "{HOST}"
    mmar.train["train"]["optimizer"]["args"]["lr"] = "{HOST}"
    mmar.train["train"]["batch_size"] = "{HOST}"
    found = [f for f in mmar.findings() if f.severity != "note"]

    # An error, since the other place wants a number.
    assert [(f.code, f.severity, f.pointer) for f in found] == [
        ("MMAR301", "error", "/train/optimizer/args/lr")
    ]
    assert found[0].line == 1 + (mmar.root / "config/config_train.json").read_text(
        "utf-8"
    ).splitlines().index('        "lr": "{HOST}"')


def test_arguments_are_no_comments(mmar):
    mmar.train["train"]["optimizer"]["args"]["_lr"] = "{HOST}"
    assert mmar.only().code == "MMAR301"


def _idle_trainer(component):
    if component.kind != "client_trainer":
        return component
    model = {"properties": {"ts_path": {"x-idle": "the measured one takes its place"}}}
    schema = {"properties": {"model": {"items": model}}}
    return replace(component, extras={**component.extras, "validation_schema": schema})


def test_what_its_readers_call_idle_is_a_note(mmar):
    mmar.catalog = FakeCatalog(tuple(map(_idle_trainer, _COMPONENTS)))
    idle = {"ts_path": "{MMAR_TORCHSCRIPT}"}
    mmar.write("config/config_validation.json", json.dumps({"model": [idle]}))
    found = mmar.only()

    assert (found.code, found.pointer) == ("MMAR211", "/model/0/ts_path")
    assert "the measured one takes its place" in found.message
    mmar.write("config/config_validation.json", json.dumps({"model": [{**idle, "disabled": True}]}))
    assert mmar.findings() == ()


def test_code_of_its_own_may_read_anything(mmar):
    mmar.catalog = FakeCatalog(tuple(map(_idle_trainer, _COMPONENTS)))
    mmar.write("config/config_validation.json", '{"model": [{"ts_path": "{MMAR_TORCHSCRIPT}"}]}')
    mmar.write("custom/mine.py", "class Scale:\n    def process(self): pass\n")
    mmar.client["client"]["outbound_filters"] = [{"path": "mine.Scale"}]
    assert "MMAR301" in {f.code for f in mmar.findings()}
