# SPDX-License-Identifier: Apache-2.0
"""An MMAR made of a bundle: what it declares, what is said of it, and what is refused."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mmar_runner.cli.commands.import_bundle import command
from mmar_runner.errors import FormatError, MmarInvalidError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from tests.monai_bundles import training, with_expressions, write_bundle


@pytest.fixture
def imported(tmp_path):
    """Import a bundle; return the MMAR's folder and what was said as JSON."""

    def imported(config=None, files=(), options=()):
        bundle = write_bundle(tmp_path / "bundle", config, files)
        out = tmp_path / "study"
        arguments = [str(bundle), "--out", str(out), "--json", *options]
        done = CliRunner().invoke(command, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return out, json.loads(done.output)

    return imported


def read(mmar, name):
    return json.loads((mmar / "config" / f"{name}.json").read_text())


def test_an_mmar_of_a_bundle_is_valid_and_has_no_expressions(imported):
    mmar, said = imported()

    report = validate(mmar, load_plugins().registry).report

    assert report.valid
    assert {f.code for f in report.findings} == {"MMAR615"}  # its rows are samples
    assert (said["expressions"], said["code"]) == ([], [])
    assert said["class_paths"] == [
        "ignite.metrics.Accuracy",
        "torch.nn.BCEWithLogitsLoss",
        "torch.nn.Linear",
        "torch.optim.SGD",
    ]
    assert said["network"] == {
        "path": "torch.nn.Linear",
        "args": {"in_features": 4, "out_features": 1},
    }


def test_the_client_trains_the_bundle_and_the_site_says_where_data_lie(imported):
    mmar, _ = imported()

    algo = read(mmar, "config_fed_client")["client_trainer"]["args"]["algo"]
    server = read(mmar, "config_fed_server")

    assert algo["name"] == "MonaiAlgo"
    assert algo["args"]["train_kwargs"] == {"dataset_dir": "{DATA_ROOT}"}
    assert read(mmar, "environment")["DATA_ROOT"] == "/workspace/data"
    assert server["handlers"][0]["args"] == {"metric": "val_accuracy"}
    assert server["servers"][0]["name"] == "study"


def with_key_metric(written, **more):
    """Return a configuration whose evaluator's key metric is written in some way."""
    config = training()
    evaluator = config["validate"]["evaluator"]
    config["validate"]["key_metric"] = evaluator["key_val_metric"]
    evaluator["key_val_metric"] = written
    return config | more


@pytest.mark.parametrize(
    "written",
    [
        "@validate#key_metric",
        "@validate::key_metric",
        "@##key_metric",
        "%validate::key_metric",
        "@again",
    ],
)
def test_a_key_metric_that_is_a_reference_is_the_one_it_leads_to(written, imported):
    mmar, said = imported(with_key_metric(written, again="@validate#key_metric"))

    (chosen,) = read(mmar, "config_fed_server")["handlers"]

    assert chosen == {"name": "BestModelSelector", "args": {"metric": "val_accuracy"}}
    assert "best model" not in " ".join(said["decide"])


def test_a_key_metric_of_an_evaluator_that_is_a_reference_is_found(imported):
    config = training()
    config["evaluator"] = config["validate"].pop("evaluator")
    config["validate"]["evaluator"] = "@evaluator"

    mmar, _ = imported(config)

    assert read(mmar, "config_fed_server")["handlers"][0]["args"] == {"metric": "val_accuracy"}


@pytest.mark.parametrize("written", ["$dict(val_accuracy=1)", "@nowhere", "@circle"])
def test_a_key_metric_that_is_no_data_is_to_be_decided(written, imported):
    mmar, said = imported(with_key_metric(written, circle="@circle"))

    assert read(mmar, "config_fed_server")["handlers"] == []
    assert any("Which metric chooses the best model" in one for one in said["decide"])


def test_every_file_is_taken_or_left_out_with_a_reason(imported):
    mmar, said = imported(files={"configs/other.json": "{}", ".git/config": "[core]"})

    assert said["taken"]["bundle/configs/train.json"] == "configs/train.json"
    assert said["taken"]["docs/bundle/README.md"] == "docs/README.md"
    assert set(said["left_out"]) == {
        "configs/inference.json",
        "configs/logging.conf",
        "configs/other.json",
    }
    assert "runs code" in said["left_out"]["configs/logging.conf"]
    assert (mmar / "docs/LICENSE").read_text() == "Apache-2.0\n"


def test_expressions_are_said_with_their_places(imported):
    mmar, said = imported(with_expressions())

    places = {(one["pointer"], one["what"]) for one in said["expressions"]}
    report = validate(mmar, load_plugins().registry).report

    assert places == {
        ("/imports/0", "expression"),
        ("/device", "expression"),
        ("/optimizer/params", "expression"),
        ("/train/dataset/data", "expression"),
    }
    assert report.valid
    assert "MMAR633" in {f.code for f in report.findings}


def test_what_monai_needs_is_added_where_a_bundle_lacks_it(imported):
    config = training()
    del config["bundle_root"], config["train"]["trainer"]["max_epochs"]
    del config["validate"], config["dataset_dir"]

    mmar, _ = imported(config)

    args = read(mmar, "config_fed_client")["client_trainer"]["args"]
    assert args["algo"]["args"]["train_kwargs"] == {
        "bundle_root": ".",
        "train::trainer::max_epochs": 1,
    }
    assert args["evaluate"] is False
    assert "eval_kwargs" not in args["algo"]["args"]
    assert read(mmar, "config_fed_server")["handlers"] == []


def test_code_of_a_bundle_becomes_code_of_the_mmar(imported):
    config = {**training(), "extra": {"_target_": "scripts.net.Net"}, "no": {"_target_": "a.B"}}

    mmar, said = imported(config, {"scripts/net.py": "class Net: ..."})

    checked = validate(mmar, load_plugins().registry)
    assert said["code"] == ["custom/scripts/net.py"]
    assert [one["text"] for one in said["expressions"]] == ["a.B"]
    assert checked.report.byoc
    assert [text for text, _ in checked.facts.expressions] == ["a.B"]


def test_a_target_of_thousands_of_parts_is_what_nobody_knows(imported):
    long = "monai." + "a." * 5000 + "B"

    mmar, said = imported({**training(), "no": {"_target_": long}})

    assert [one["text"] for one in said["expressions"]] == [long]
    assert "MMAR633" in {f.code for f in validate(mmar, load_plugins().registry).report.findings}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_network_that_is_no_data_begins_with_the_checkpoint(imported, suffix):
    config = training()
    config["network_def"]["in_features"] = "$2 + 2"

    mmar, said = imported(config, {f"models/model{suffix}": b"PK\x03\x04"})

    server = read(mmar, "config_fed_server")
    persistor = {} if suffix != ".pt" else {"name": "PTCheckpointPersistor"}
    assert said["checkpoint"] == server["ckpt_preload_path"] == f"models/model{suffix}"
    assert server.get("model_persistor", {}) == persistor
    assert (mmar / f"models/model{suffix}").is_file()


def test_without_network_and_checkpoint_it_is_said_what_is_missing(imported):
    config = training()
    config["network_def"] = "$scripts.make()"

    mmar, said = imported(config)

    assert "is an expression" in said["decide"][0]
    assert not validate(mmar, load_plugins().registry).report.valid


def test_a_network_in_yaml_and_another_name(imported, tmp_path):
    _, said = imported(
        files={"configs/second.yaml": "train:\n  trainer: {_target_: SupervisedTrainer}\n"},
        options=["--train", "configs/second.yaml"],
    )

    assert "bundle/configs/second.yaml" in said["taken"]
    assert "declares no network_def" in said["decide"][0]


# -- what is refused ---------------------------------------------------------------------------


BOMB = "a: &a [1, 1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 20)}]\n" for i in range(7)
)


@pytest.mark.parametrize(
    "text",
    [
        "train: !!python/object/apply:os.system ['touch CANARY']",
        BOMB,
        "{" * 3000,
        "a: 1\na: 2\n",
        "- a list",
        "\N{REPLACEMENT CHARACTER}\0",
    ],
    ids=["a tag", "aliases that double", "nested", "twice", "a list", "no text"],
)
def test_yaml_that_is_no_plain_data_is_refused_and_nothing_written(imported, tmp_path, text):
    with pytest.raises(MmarInvalidError, match="nothing was written"):
        imported(files={"configs/evaluate.yaml": text})

    assert not (tmp_path / "study").exists()


def test_a_huge_file_is_refused(imported, tmp_path):
    with pytest.raises(MmarInvalidError):
        imported(files={"configs/evaluate.json": b" " * (9 * 1024 * 1024)})


def test_a_link_that_leaves_the_bundle_is_refused(imported, tmp_path):
    (tmp_path / "secret").write_text("{}")
    bundle = tmp_path / "bundle"
    write_bundle(bundle)
    (bundle / "configs" / "evaluate.json").symlink_to(tmp_path / "secret")

    done = CliRunner().invoke(command, [str(bundle), "--out", str(tmp_path / "study")])

    assert isinstance(done.exception, MmarInvalidError)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("name", ["../secret.json", "/etc/hostname", "configs/nothing.json"])
def test_a_configuration_elsewhere_is_refused(imported, name):
    with pytest.raises(UsageError):
        imported(options=["--train", name])


def test_a_folder_without_training_is_refused(tmp_path):
    done = CliRunner().invoke(command, [str(tmp_path), "--out", str(tmp_path / "study")])

    assert isinstance(done.exception, UsageError)
    assert "configs/train.json" in done.exception.message


def test_a_configuration_without_a_trainer_is_refused(imported):
    with pytest.raises(FormatError, match="train::trainer"):
        imported({"bundle_root": "."})


def test_nothing_is_written_over(imported, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine").touch()

    with pytest.raises(UsageError, match="not an empty folder"):
        imported()
