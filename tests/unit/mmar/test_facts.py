# SPDX-License-Identifier: Apache-2.0
"""What policies learn of an MMAR: nothing is overlooked at any depth, nothing is made up."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mmar_runner.mmar.validation import validate


def paths(mmar, **options):
    return [(dotted, place.pointer) for dotted, place in mmar.check(**options).facts.class_paths]


def arguments(mmar, **options):
    found = mmar.check(**options).facts.path_arguments
    return [(text, f"{place.file.rpartition('/')[2]}#{place.pointer}") for text, place in found]


def test_a_good_mmar_names_its_optimizer_and_nothing_else(mmar):
    facts = mmar.check().facts

    assert facts.name == "job"
    assert facts.digest == mmar.check().report.digest
    assert not facts.byoc
    assert not facts.custom_datalist
    ((dotted, place),) = facts.class_paths
    assert (dotted, place.file) == ("torch.optim.SGD", "config/config_train.json")
    text = (mmar.root / place.file).read_text().splitlines()[place.line - 1]
    assert text[place.column - 1 :].startswith('"torch.optim.SGD"')
    assert facts.path_arguments == ()


BAD = {"path": "os.system", "args": {"command": "true"}}


@pytest.mark.parametrize(
    "dotted",
    ["os.system", "subprocess.Popen", "builtins.eval", "importlib.import_module", "_posix.fork"],
)
def test_a_dangerous_path_is_seen_wherever_it_stands(mmar, dotted):
    bad = {"path": dotted, "args": {}}
    mmar.train["train"]["model"] = {"name": "Net", "args": {"width": 4, "norm": bad}}
    mmar.train["train"]["extra"] = [{"deep": {"er": [bad]}}]
    mmar.server["handlers"] = [{"name": "Chain", "args": {"steps": [bad]}}]
    mmar.client["client"]["outbound_filters"] = [bad]

    seen = [pointer for found, pointer in paths(mmar) if found == dotted]

    assert set(seen) == {
        "/train/model/args/norm/path",
        "/train/extra/0/deep/er/0/path",
        "/handlers/0/args/steps/0/path",
        "/client/outbound_filters/0/path",
    }
    assert len(seen) == len(set(seen))


def test_a_path_that_a_variable_brings_is_seen(mmar):
    mmar.environment["CLASS"] = "os.system"
    mmar.train["train"]["optimizer"]["path"] = "{CLASS}"
    assert paths(mmar) == [("os.system", "/train/optimizer/path")]


def test_what_is_switched_off_is_not_seen(mmar):
    mmar.train["train"]["extra"] = [{**BAD, "disabled": True}]
    assert [dotted for dotted, _ in paths(mmar)] == ["torch.optim.SGD"]


def test_files_own_code_and_older_names_are_no_class_paths(mmar):
    mmar.write("custom/nets.py", "class Mine: ...")
    mmar.train["train"]["extra"] = [
        {"path": "labels.csv"},
        {"path": "nets.Mine"},
        {"path": "data/x"},
        {"path": "old.package.Aggregator"},
    ]
    assert [dotted for dotted, _ in paths(mmar)] == ["torch.optim.SGD"]
    assert mmar.check().facts.code == ("custom/nets.py",)


def test_a_side_is_asked_only_for_what_it_uses(mmar):
    mmar.server["handlers"] = [{"name": "Chain", "args": {"steps": [BAD]}}]
    mmar.client["client"]["outbound_filters"] = [BAD]

    def files(side):
        found = mmar.check(side=side).facts.class_paths
        return {place.file.rpartition("_")[2] for dotted, place in found if dotted == "os.system"}

    assert files("server") == {"server.json"}
    assert files("client") == {"client.json"}


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "http://a/b", "a\0b",
             "C:\\x", "~/x", "a/../../b", "\\\\host\\x"])  # fmt: skip
def test_an_argument_that_leaves_is_seen_at_any_depth(mmar, text):
    mmar.train["train"]["optimizer"]["args"]["nested"] = [{"deep": {"er": [text]}}]
    mmar.client["client_trainer"]["args"]["cache"] = text

    assert set(arguments(mmar)) == {
        (text, "config_train.json#/train/optimizer/args/nested/0/deep/er/0"),
        (text, "config_fed_client.json#/client_trainer/args/cache"),
    }


def test_a_variable_of_the_mmar_is_the_mmars_and_one_of_the_site_is_the_sites(mmar):
    args = mmar.train["train"]["optimizer"]["args"]
    args["cache"] = "{DATA_ROOT}/cache"
    assert arguments(mmar) == [("/data", "environment.json#/DATA_ROOT")]
    assert arguments(mmar, settings={"DATA_ROOT": "/site"}) == []

    args["cache"] = "{DATA_ROOT}/../../etc"
    pointer = "config_train.json#/train/optimizer/args/cache"
    assert arguments(mmar, settings={"DATA_ROOT": "/site"}) == [("/site/../../etc", pointer)]
    assert (("/data/../../etc", pointer)) in arguments(mmar)


def test_two_harmless_variables_make_no_harmless_text(mmar):
    mmar.environment |= {"A": ".", "B": "./x"}
    mmar.train["train"]["optimizer"]["args"]["cache"] = "{A}{B}"
    assert [text for text, _ in arguments(mmar)] == ["../x"]


def test_a_global_that_the_site_replaces_is_the_sites(mmar):
    mmar.train["cache"] = "/var/x"
    assert [text for text, _ in arguments(mmar)] == ["/var/x"]
    assert arguments(mmar, settings={"cache": "/site"}) == []


def test_addresses_of_servers_patterns_and_comments_are_no_arguments(mmar):
    mmar.client["servers"][0]["service"] = {"target": "http://x"}
    mmar.client["client"]["ssl_cert"] = "/etc/client.crt"
    mmar.train["_comment"] = "see https://example.org"
    mmar.server["exclude_vars"] = "/head/"
    assert arguments(mmar) == []


def test_a_data_list_in_the_folder_is_seen_with_its_place(mmar):
    mmar.write("resources/other.json", json.dumps({"training": [{"image": "a.nii"}]}))
    mmar.train["train"]["data_list_file_path"] = "./resources/other.json"

    (place,) = mmar.check().facts.datalists

    assert (place.file, place.pointer) == (
        "config/config_train.json",
        "/train/data_list_file_path",
    )


@pytest.mark.parametrize("file", ["resources/innocent.json", "models/x.json", "config/.x.json"])
def test_a_data_list_is_known_by_what_it_holds(mmar, file):
    mmar.write(file, json.dumps({"numTraining": 1, "training": [{"image": "a.nii"}]}))
    facts = mmar.check().facts
    assert [place.file for place in facts.datalists] == [file]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config/dataset.csv", "anything"),
        ("resources/DataList.yaml", "anything"),
        ("resources/data_list_7.txt", "anything"),
        ("resources/x.csv", 'id,"Image",Label\r\n1,a.nii,b.nii\r\n'),
        ("resources/x.tsv", "image\tlabel\na.nii\tb.nii\n"),
        ("resources/x.txt", '{"training": [{"image": "a.nii"}]}'),
        ("resources/x.jsonl", '{"image": "a.nii", "label": "b.nii"}\n'),
        ("resources/x.json", '[\n  {"image": "a.nii"}\n]'),
        ("resources/x.yml", "training:\n  - image: a.nii\n"),
    ],
)
def test_a_data_list_is_known_in_any_format(mmar, file, text):
    mmar.write(file, text)
    assert [place.file for place in mmar.check().facts.datalists] == [file]


RECORD = [{"img": "cases/case_1"}, {"img": "cases/case_2"}]


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("lists/a.json", b'{"\\u0074raining": [{"scan": "x"}]}'),
        ("lists/a.json", b'{"fold_0": [{"\\u0069mage": "x"}]}'),
        ("lists/a.json", json.dumps({"fold_0": {"deep": RECORD}}).encode()),
        ("lists/a.json", b'{"a": [{"scan": "x.nii"}], "a": []}'),
        ("lists/a.json", b'{"a": ["x.NII.GZ"]}'),
        ("lists/a.json", b'{" training": [1, 2]}'),
        ("lists/a.json", b'{"Training ": [1, 2]}'),
        ("lists/a.json", b'{"a": [{"age": 40, "scan": "x.nii"}]}'),
        ("lists/a.txt", json.dumps({"fold_0": RECORD}).encode()),
        ("lists/a.md", json.dumps(RECORD[0]).encode() + b"\n" + json.dumps(RECORD[1]).encode()),
        ("config/own.json", json.dumps({"fold_0": RECORD}).encode()),
        ("lists/a.json", json.dumps({"fold_0": RECORD}).encode("utf-16")),
        ("lists/a.json", json.dumps({"fold_0": RECORD}).encode("utf-16-le")),
        ("lists/a.json", json.dumps({"fold_0": RECORD}).encode("utf-32")),
        ("lists/a.json", b"\xef\xbb\xbf" + json.dumps(RECORD).encode()),
        ("lists/a.csv", b"1;x.nii;3\n"),
        ("lists/a.csv", "scan,mask\na.nii,b.nii\n".encode("utf-16")),
        ("lists/a.txt", b"a/1.dcm\na/2.dcm\n"),
        ("lists/a.yaml", b"fold_0:\n- scan: a.nii\n- scan: b.nii\n"),
        ("models/a.json", json.dumps(RECORD).encode()),
        ("README", json.dumps(RECORD).encode()),
    ],
)
def test_neither_keys_nor_names_nor_encodings_hide_a_data_list(mmar, file, data):
    (mmar.root / file).parent.mkdir(parents=True, exist_ok=True)
    (mmar.root / file).write_bytes(data)
    assert file in [place.file for place in mmar.check().facts.datalists]


def test_a_data_list_within_the_configuration_is_one(mmar):
    mmar.train["train"]["samples"] = [{"scan": "a.nii"}]
    assert [p.file for p in mmar.check().facts.datalists] == ["config/config_train.json"]


def test_a_data_list_behind_the_folders_variable_is_seen(mmar):
    mmar.write("resources/l.txt", "a.nii b.nii\n")
    mmar.environment["DATASET_JSON"] = "{MMAR_ROOT}/resources/l.txt"
    assert [place.pointer for place in mmar.check().facts.datalists] == ["/DATASET_JSON"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("resources/classes.txt", "liver\nspleen\n"),
        ("resources/sizes.csv", "image_size,label_names\n64,spleen\n"),
        ("docs/notes.txt", "training:\n  takes two hours - at most\n"),
        ("resources/names.json", '{"name": "spleen"}\n'),
        ("resources/labels.json", '{"labels": [{"id": 1, "name": "liver", "unit": "km/h"}]}'),
        ("resources/metrics.jsonl", '{"loss": 0.1}\n{"loss": 0.2}\n'),
        ("resources/atlas.json", '{"atlas": "models/atlas.nii"}'),
        ("docs/Readme.md", "# Job\n\nA case such as case_1.nii.gz\nis read by the site.\n"),
        ("resources/nested.json", "[" * 5000),
    ],
)
def test_other_texts_are_no_data_lists(mmar, file, text):
    mmar.write(file, text)
    assert not mmar.check().facts.custom_datalist


@pytest.mark.parametrize("text", ["\n", " ", "training:", '{"', "[{ ", "image,"])
def test_no_text_makes_looking_for_a_data_list_slow(mmar, text):
    mmar.write("resources/x.txt", text * (900_000 // len(text)))
    started = time.perf_counter()
    mmar.check()
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("name", ["clara4_spleen", "clara31_spleen"])
def test_real_archives_have_facts(mmar, name):
    folder = Path(os.environ.get("MMAR_CORPUS", "no-such-folder")) / name
    if not folder.is_dir():
        pytest.skip("MMAR_CORPUS names no folder of archives")

    facts = validate(folder, mmar.catalog).facts

    assert facts.byoc is (name == "clara31_spleen")
    assert all(place.line for _, place in facts.class_paths)
