# SPDX-License-Identifier: Apache-2.0
"""A bundle in an MMAR: what sites have to allow is found before anything runs."""

from __future__ import annotations

import json

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.bundle.declared import declared
from mmar_runner.mmar.bundle.plan import plan_import
from mmar_runner.mmar.bundle.standing import BundleFact
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import survey
from mmar_runner.mmar.validation import validate
from tests.monai_bundles import training, with_expressions, write_bundle


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


@pytest.fixture
def job(tmp_path, catalog):
    """Write an MMAR with a bundle and return its folder."""

    def job(config=None, files=(), change=None):
        bundle = write_bundle(tmp_path / "job" / "bundle", config, files)
        (bundle / "configs" / "inference.json").unlink()
        fact = BundleFact.of(catalog.find("client_algo", "MonaiAlgo").extras)
        plan = plan_import(survey(bundle, Findings()), catalog, fact, Findings())
        values = declared(plan, "job")
        if change is not None:
            change(values["config/config_fed_client.json"]["client_trainer"]["args"]["algo"])
        for file, value in values.items():
            (tmp_path / "job" / file).parent.mkdir(exist_ok=True)
            (tmp_path / "job" / file).write_text(json.dumps(value))
        return tmp_path / "job"

    return job


@pytest.fixture
def policy(tmp_path):
    def policy(**rules):
        path = tmp_path / "site_policy.json"
        allowed = {"allow_custom_datalist": True, "data_folders": ["/workspace"]}
        prefixes = {"allowed_path_prefixes": ["torch.", "ignite.metrics."]}
        path.write_text(json.dumps({"version": 1, **allowed, **prefixes, **rules}))
        return path

    return policy


def errors(job, catalog, **options):
    report = validate(job, catalog, **options).report
    return [(f.code, f.pointer) for f in report.findings if f.severity == "error"]


def test_without_expressions_no_leave_is_needed(job, catalog, policy):
    checked = validate(job(), catalog, policy=policy())

    assert checked.report.valid
    assert checked.facts.expressions == ()
    assert not checked.spec.expressions


def test_expressions_need_the_sites_word(job, catalog, policy):
    folder = job(with_expressions())
    places = ["/device", "/optimizer/params", "/train/dataset/data", "/imports/0"]
    digest = validate(folder, catalog).report.digest

    assert errors(folder, catalog, policy=policy()) == [("MMAR709", place) for place in places]
    assert errors(folder, catalog, policy=policy(expressions="allow")) == []
    assert errors(folder, catalog, policy=policy(expressions="digest"))[0][0] == "MMAR709"
    accepted = policy(expressions="digest", accepted_digests=[digest])
    assert errors(folder, catalog, policy=accepted) == []
    assert validate(folder, catalog).spec.expressions


def test_a_class_path_in_a_bundle_needs_its_prefix(job, catalog, policy):
    found = errors(job(), catalog, policy=policy(allowed_path_prefixes=["torch."]))

    assert found == [
        ("MMAR701", "/validate/evaluator/key_val_metric/val_accuracy/_target_"),
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"_target_": "os.system", "command": "touch CANARY"},
        {"_target_": "monai.bundle.ConfigWorkflow", "config_file": "other.json"},
        {"_target_": "monai.data.LMDBDataset", "data": []},
        {"_target_": "monai.data.utils.os.system", "command": "touch CANARY"},
        {"_target_": "Dataset", "_mode_": "debug"},
        {"_target_": "LoadImage", "reader": "subprocess.Popen", "args": ["touch", "CANARY"]},
        "%/etc/other.json::x",
        "$print(1)",
    ],
    ids=lambda part: str(part)[:60],
)
def test_what_needs_no_expression_to_run_code_needs_leave_too(job, catalog, policy, part):
    folder = job({**training(), "extra": part})

    assert {code for code, _ in errors(folder, catalog, policy=policy())} == {"MMAR709"}
    assert errors(folder, catalog, policy=policy(expressions="allow")) == []


@pytest.mark.parametrize(
    "file", ["metadata.json", "other.yaml", "deep/er/more.yml", ".hidden.json"]
)
def test_every_configuration_of_the_bundle_counts(job, catalog, file):
    folder = job(files={f"configs/{file}": 'a: "$print(1)"' if "y" in file[-4:] else '{"a": "$b"}'})

    assert validate(folder, catalog).spec.expressions


@pytest.mark.parametrize("key", ["train#trainer#_target_", "x"])
def test_an_override_can_hold_an_expression_too(job, catalog, policy, key):
    def change(algo):
        algo["args"]["train_kwargs"] = {key: "$__import__('os')"}

    folder = job(change=change)

    assert {code for code, _ in errors(folder, catalog, policy=policy())} == {"MMAR709"}
    assert errors(folder, catalog, policy=policy(expressions="allow")) == []


def test_a_path_that_the_site_does_not_replace_is_an_argument(job, catalog, policy):
    config = {**training(), "ckpt_dir": "/root/secrets"}
    del config["dataset_dir"]

    found = errors(job(config), catalog, policy=policy(data_folders=[]))

    assert found == [("MMAR706", "/ckpt_dir")]


@pytest.mark.parametrize(
    ("root", "code"), [("nothing", "MMAR621"), ("../other", "MMAR610"), ("/etc", "MMAR610")]
)
def test_a_bundle_that_is_not_there_is_found(job, catalog, root, code):
    def change(algo):
        algo["args"]["bundle_root"] = root

    assert [one for one, _ in errors(job(change=change), catalog)] == [code]


def test_a_bundle_that_is_no_data_is_found(job, catalog):
    folder = job(files={"configs/x.yaml": "a: !!python/name:os.system"})

    assert errors(folder, catalog) == [("MMAR118", "")]


def test_an_argument_of_the_algorithm_is_checked(job, catalog):
    def change(algo):
        algo["args"]["local_epoch"] = 1

    assert [code for code, _ in errors(job(change=change), catalog)] == ["MMAR512"]


def test_a_class_path_of_monais_algorithms_is_the_same(job, catalog, policy):
    def change(algo):
        algo["path"] = "monai.fl.client.MonaiAlgo"
        del algo["name"]

    folder = job(with_expressions(), change=change)

    assert validate(folder, catalog).spec.expressions
    prefixes = ["torch.", "ignite.metrics.", "monai.fl.client."]
    assert (
        errors(folder, catalog, policy=policy(allowed_path_prefixes=prefixes, expressions="allow"))
        == []
    )


def ways(folder, catalog):
    """Return what is said of what leads nowhere: severity, place, message and mend."""
    report = validate(folder, catalog).report
    codes = {"MMAR503", "MMAR517"}
    return [
        (f.severity, f.code, f"{f.file}:{f.pointer}", f.message, f.hint)
        for f in report.findings
        if f.code in codes
    ]


TRAIN = "bundle/configs/train.json"


@pytest.mark.parametrize(
    ("written", "missing", "near"),
    [
        ("@optimiser", "optimiser", "optimizer"),
        ("@train::dataloadr", "dataloadr", "dataloader"),
        ("@train#dataloadr", "dataloadr", "dataloader"),
        ("@##preprocesing", "preprocesing", "preprocessing"),
        ("%train::inferrer", "inferrer", "inferer"),
        ("$list(@network_deff.parameters())", "network_deff", "network_def"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error_with_the_nearest_name(
    job, catalog, written, missing, near
):
    config = training()
    config["train"]["trainer"]["optimizer"] = written

    (found,) = ways(job(config), catalog)

    assert found[:3] == ("error", "MMAR517", f"{TRAIN}:/train/trainer/optimizer")
    assert f"there is no '{missing}'." in found[3]
    assert found[4] == f"Did you mean '{near}'?"


def test_a_reference_beyond_the_end_of_a_list_leads_nowhere(job, catalog):
    config = {**training(), "two": [1, 2]}
    config["network_def"]["out_features"] = "@two::2"

    (found,) = ways(job(config), catalog)

    assert "there is no '2'" in found[3]


def test_what_nobody_asks_for_is_a_warning(job, catalog):
    config = {**training(), "spare": {"_target_": "monai.networks.nets.UNett", "a": "@nothing"}}

    found = ways(job(config), catalog)

    assert [one[:3] for one in found] == [
        ("warning", "MMAR503", f"{TRAIN}:/spare/_target_"),
        ("warning", "MMAR517", f"{TRAIN}:/spare/a"),
    ]
    assert all(one[3].endswith("asks for it.") for one in found)
    assert "'UNETR'" in found[0][4]


@pytest.mark.parametrize(
    "more",
    [
        {"x": "@train::trainer::max_epochs", "y": "$@run_name + '.pt'", "z": "@_meta_::version"},
        {"list": [{"a": 1}, "@#0::a"], "text": "mail@example.org", "one": "@list::0::a"},
        {"base": {"a": {"b": 1}}, "copy": "%base", "x": "@copy::a::b"},
        {"x": "%configs/metadata.json::version"},
        {"x": {"_target_": "monai.utils.set_determinism"}, "y": {"_target_": "dict"}},
        {"x": {"_target_": "scripts.net.Net"}, "y": {"_target_": "one_hot"}},
    ],
    ids=lambda one: next(iter(one.values())) if isinstance(next(iter(one.values())), str) else None,
)
def test_what_may_lead_somewhere_is_not_said_to_lead_nowhere(job, catalog, more):
    assert ways(job({**training(), **more}), catalog) == []


@pytest.mark.parametrize(
    ("written", "words", "near"),
    [
        ("%configs/metadata.json::verson", "has no 'verson'", "version"),
        ("%configs/meta.json::version", "the bundle has no 'configs/meta.json'", "metadata"),
    ],
)
def test_a_macro_of_another_file_that_leads_nowhere_is_an_error(job, catalog, written, words, near):
    (found,) = ways(job({**training(), "extra": written}), catalog)

    assert found[:3] == ("error", "MMAR517", f"{TRAIN}:/extra")
    assert words in found[3]
    assert near in found[4]


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("SupervisedTrainr", "SupervisedTrainer"),
        ("monai.engines.SupervisedTrainr", "SupervisedTrainer"),
    ],
)
def test_a_target_that_nothing_has_is_an_error_with_the_nearest_name(job, catalog, written, near):
    config = training()
    config["train"]["trainer"]["_target_"] = written

    (found,) = ways(job(config), catalog)

    assert found[:3] == ("error", "MMAR503", f"{TRAIN}:/train/trainer/_target_")
    assert near in found[4]


@pytest.mark.parametrize("written", ["UNet", "monai.networks.nets.UNet"])
def test_an_argument_that_was_renamed_is_an_error_since_nobody_mends_a_bundle(
    job, catalog, written
):
    config = training()
    shape = {"in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}
    config["network_def"] = {"_target_": written, "dimensions": 3, **shape}

    def of_bundle(folder):
        return [f for f in validate(folder, catalog).report.findings if f.file == TRAIN]

    (found,) = [f for f in of_bundle(job(config)) if f.severity == "error"]

    assert (found.code, found.pointer) == ("MMAR512", "/network_def/dimensions")
    assert found.line
    assert "since MONAI 0.6" in found.message
    assert "Write 'spatial_dims'" in found.hint


def test_an_override_counts_as_a_part_and_is_looked_at_itself(job, catalog):
    config = training()
    config["train"]["trainer"]["optimizer"] = "@another"

    def change(algo):
        for overrides in ("train_kwargs", "eval_kwargs"):
            algo["args"].setdefault(overrides, {})["another"] = "@optimiser"

    found = ways(job(config, change=change), catalog)

    assert {one[1] for one in found} == {"MMAR517"}
    assert {one[2].partition(":")[0] for one in found} == {"config/config_fed_client.json"}
    assert {"'@optimiser' leads nowhere: there is no 'optimiser'." in one[3] for one in found}


def test_an_override_of_what_is_not_there_is_an_error(job, catalog):
    def change(algo):
        algo["args"]["train_kwargs"] = {"trian::trainer::max_epochs": 2}

    (found,) = ways(job(change=change), catalog)

    assert found[:2] == ("error", "MMAR517")
    assert "'trian::trainer::max_epochs' leads nowhere" in found[3]


def test_thousands_of_references_that_lead_nowhere_are_told_in_time(job, catalog):
    """A chain of parts that all hold each other is walked once."""
    config = {**training(), **{f"p{i}": [f"@p{i + 1}", f"@no{i}"] * 5 for i in range(2000)}}
    config["initialize"] = ["@p0"]

    assert len(ways(job(config), catalog)) == 50


@pytest.mark.parametrize("name", ["..yaml", "..json", ".yml", "deep.d/..YAML"])
def test_a_file_is_judged_whatever_else_its_name_is_if_monai_would_read_it(
    job, catalog, policy, name
):
    """MONAI goes by how a name ends; such a name has no suffix elsewhere."""
    folder = job()
    hidden = folder / "bundle" / "configs" / name
    hidden.parent.mkdir(exist_ok=True)
    hidden.write_text(json.dumps({"extra": {"image": "/etc/hostname"}}))

    report = validate(folder, catalog, policy=policy(data_folders=[])).report

    file = f"bundle/configs/{name}"
    assert ("MMAR706", "/extra/image") in [
        (f.code, f.pointer) for f in report.findings if f.file == file
    ]


@pytest.mark.parametrize(
    ("extra", "pointer"),
    [
        ({"path": "@network_def/../../../x"}, "/extra/path"),
        ({"../../../x": 1}, "/extra/..~1..~1..~1x"),
    ],
)
def test_a_path_behind_a_reference_and_a_key_that_is_a_path_are_judged(
    job, catalog, policy, extra, pointer
):
    folder = job({**training(), "extra": extra})

    found = errors(folder, catalog, policy=policy())

    assert ("MMAR706", pointer) in found
