# SPDX-License-Identifier: Apache-2.0
"""One cause, one finding: what follows from a defect is not reported beside it."""

from __future__ import annotations

import pytest

from mmar_runner.documents.words import did_you_mean

ENVIRONMENT = "config/environment.json"


@pytest.fixture
def variable(mmar):
    mmar.environment |= {"ROUNDS": 3, "LEAST": 2, "WIDTH": 4}
    mmar.task.update(num_rounds="{ROUNDS}", min_num_clients="{LEAST}")
    mmar.server["model_persistor"]["args"]["model"]["args"]["width"] = "{WIDTH}"
    mmar.train["train"]["model"]["args"]["width"] = "{WIDTH}"
    return mmar


def test_a_missing_environment_is_said_once_and_not_with_every_variable(variable):
    variable.environment = None

    finding = variable.only()

    assert (finding.code, finding.file, finding.severity) == ("MMAR102", ENVIRONMENT, "error")
    assert "LEAST, ROUNDS, WIDTH" in finding.message


def test_a_missing_environment_that_only_texts_need_is_a_warning(mmar):
    mmar.environment = None
    mmar.train["x"] = ["{A}", "{B}", "{C}"]

    finding = mmar.only()

    assert (finding.code, finding.severity) == ("MMAR102", "warning")


def test_a_few_undefined_variables_are_said_where_they_stand(mmar):
    mmar.environment = None
    mmar.train["x"] = ["{A}", "{B}"]

    assert [(f.code, f.pointer) for f in mmar.findings()] == [
        ("MMAR301", "/x/0"),
        ("MMAR301", "/x/1"),
    ]


def test_a_damaged_environment_explains_undefined_variables(variable):
    variable.save()
    variable.write(ENVIRONMENT, '{"ROUNDS": ')

    checked = variable.check(saved=True)

    assert [(f.code, f.file) for f in checked.report.findings] == [("MMAR110", ENVIRONMENT)]
    assert checked.spec.server is None


@pytest.mark.parametrize(
    ("written", "code"), [("tru", "MMAR110"), ("NaN", "MMAR112"), ("[3]", "MMAR402")]
)
def test_a_spoiled_variable_is_said_where_it_is_defined_alone(variable, written, code):
    variable.save()
    variable.write(ENVIRONMENT, f'{{"ROUNDS": {written}, "LEAST": 2, "WIDTH": 4}}')

    checked = variable.check(saved=True)

    assert [(f.code, f.pointer) for f in checked.report.findings] == [(code, "/ROUNDS")]
    assert checked.spec.server is None


def test_a_setting_replaces_a_spoiled_variable(variable):
    variable.environment["ROUNDS"] = [3]

    checked = variable.check(settings={"ROUNDS": 3})

    assert [f.pointer for f in checked.report.findings] == ["/ROUNDS"]
    assert checked.spec.server.num_rounds == 3


@pytest.mark.parametrize(
    ("place", "hint"),
    [("environment.json", "Move environment.json"), ("config/enviroment.json", "Did you mean")],
)
def test_a_misplaced_environment_is_pointed_out(variable, place, hint):
    variable.save()
    (variable.root / ENVIRONMENT).rename(variable.root / place)

    findings = variable.check(saved=True).report.findings

    assert [(f.code, f.file) for f in findings] == [("MMAR102", ENVIRONMENT)]
    assert findings[0].hint.startswith(hint)


def test_a_wrong_value_names_the_variable_it_came_from(variable):
    variable.environment["ROUNDS"] = "three"

    finding = variable.only()

    assert (finding.code, finding.pointer) == ("MMAR402", "/servers/0/num_rounds")
    assert "{ROUNDS}" in finding.hint


def test_a_misspelt_key_has_nothing_to_do_with_the_variable_it_is_given(variable):
    variable.task["num_round"] = variable.task.pop("num_rounds")
    variable.server["aggregator"]["args"]["exclude_var"] = "{ROUNDS}"

    hints = [f.hint for f in variable.findings() if f.code in {"MMAR401", "MMAR404", "MMAR512"}]

    assert hints == ["Did you mean 'num_rounds'?", "Did you mean 'exclude_vars'?"]


def test_a_text_without_its_first_quote_is_one_finding(mmar):
    mmar.save()
    mmar.write(ENVIRONMENT, '{"NAME": hospital", "X": 1}')

    findings = mmar.check(saved=True).report.findings

    assert [(f.code, f.hint) for f in findings] == [("MMAR110", 'Write "hospital" if it is text.')]


def test_an_unknown_filter_is_not_also_said_to_lack_its_counterpart(mmar):
    mmar.client["client"]["outbound_filters"].append({"name": "Pakc"})

    assert mmar.only().code == "MMAR501"


def test_a_foreign_job_has_no_finding_beside_that(mmar):
    mmar.server = {"format_version": 2, "workflows": [{"nonsense": "{X}"}]}

    assert [f.code for f in mmar.findings() if f.code != "MMAR301"] == ["MMAR201"]


@pytest.mark.parametrize(
    ("change", "place"),
    [({"width": 5}, "/args/width"), ({"width": 4, "norm": "batch"}, "")],
)
def test_two_different_models_are_told(mmar, change, place):
    mmar.train["train"]["model"]["args"] = change

    finding = mmar.only()

    assert (finding.code, finding.pointer) == ("MMAR623", f"/train/model{place}")


def test_suggestions_are_near_ones_and_not_all():
    assert did_you_mean("TorchTrainr", ["TorchTrainer", "EchoTrainer"]) == (
        "Did you mean 'TorchTrainer'?"
    )
    assert did_you_mean("fedavg", ["FedAvg"]) == "Did you mean 'FedAvg'?"
    assert did_you_mean("x", ["FedAvg"]) is None


def test_a_word_that_is_nearly_one_of_jsons_is_not_taken_for_text_alone(mmar):
    mmar.save()
    mmar.write(ENVIRONMENT, '{"ON": tru, "X": 1}')

    findings = mmar.check(saved=True).report.findings

    hint = "Did you mean 'true'? Write \"tru\" if it is text."
    assert [(f.code, f.hint) for f in findings] == [("MMAR110", hint)]


def test_a_variable_of_its_own_file_is_one_cause_and_its_line_is_told(variable):
    variable.train["width"] = -1
    variable.train["train"]["model"]["args"]["width"] = "{width}"
    variable.train["train"]["batch_size"] = 16

    finding = next(f for f in variable.findings() if f.code == "MMAR514")

    assert "{width} (config/config_train.json, line " in finding.hint


def test_a_setting_is_not_told_as_the_files_own_variable(variable):
    variable.train["width"] = 4
    variable.train["train"]["model"]["args"]["width"] = "{width}"

    finding = next(f for f in variable.findings(settings={"width": -1}) if f.code == "MMAR514")

    assert "variable {width}. " in finding.hint


def test_a_number_of_sites_tells_of_what_it_was_made(variable):
    variable.environment["MIN_NUM_CLIENTS"] = 3
    variable.train["train"]["model"]["args"]["norm"] = "{NUM_SITES}"

    finding = next(f for f in variable.findings() if f.code == "MMAR514")

    assert "(from MIN_NUM_CLIENTS, config/environment.json, line 6)" in finding.hint


@pytest.mark.parametrize("settings", [{"NUM_SITES": 3}, {"MIN_NUM_CLIENTS": 3}])
def test_a_setting_of_it_tells_no_place(variable, settings):
    variable.environment["MIN_NUM_CLIENTS"] = 4
    variable.train["train"]["model"]["args"]["norm"] = "{NUM_SITES}"

    finding = next(f for f in variable.findings(settings=settings) if f.code == "MMAR514")

    assert "variable {NUM_SITES}. " in finding.hint


def test_two_circles_in_two_files_are_two_causes(mmar):
    mmar.train |= {"a": "{b}", "b": "{a}"}
    mmar.save()
    mmar.write("config/config_validation.json", '{"a": "{b}", "b": "{a}"}')

    checked = mmar.check(saved=True)

    assert [(f.code, f.file) for f in checked.report.findings] == [
        ("MMAR302", "config/config_train.json"),
        ("MMAR302", "config/config_validation.json"),
    ]


@pytest.mark.parametrize(
    ("depth", "said"), [(60, "more than 50 deep"), (20, "more than 1000 times")]
)
def test_the_limit_of_variables_that_is_passed_is_named_with_their_place(mmar, depth, said):
    again = "" if depth > 50 else "{{V{0}}}"
    chain = {f"V{i}": ("{{V{0}}}" + again).format(i + 1) for i in range(depth)}
    mmar.environment |= {**chain, f"V{depth}": "1"}
    mmar.train["x"] = ["{V0}", "{V0}"]

    finding = mmar.only()

    assert (finding.code, finding.pointer) == ("MMAR403", "/x/0")
    assert said in finding.message
    assert "config/environment.json, line 3" in finding.hint


def test_of_an_older_filter_on_the_server_is_said_what_became_of_it(mmar):
    mmar.server["inbound_filters"] = [{"name": "HEModelDecryptor"}]

    found = mmar.only()

    assert (found.code, found.pointer) == ("MMAR221", "/inbound_filters/0/name")
    assert "SecureSum" in found.hint
