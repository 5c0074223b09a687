# SPDX-License-Identifier: Apache-2.0
"""Writing an archive anew: texts, names, files; never the old folder, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from mmar_runner.cli.rewritten import require_free, write_upgraded
from mmar_runner.documents.json_reader import read_json
from mmar_runner.errors import MmarInvalidError, StorageError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.upgrading.plan import plan_upgrade
from mmar_runner.mmar.upgrading.text import document_text
from mmar_runner.mmar.validation import validate

ROOT = Path(__file__).parents[3]
OLDER = ROOT / "tests" / "assets" / "mmars" / "older"
SAMPLES = sorted((ROOT / "mmars").iterdir())
SERVER = "config/config_fed_server.json"
CLIENT = "config/config_fed_client.json"
TRAIN = "config/config_train.json"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"


@pytest.fixture(scope="module")
def registry():
    return load_plugins().registry


def folder_of(path):
    return open_folder(path, Findings())


def upgraded(source, out, catalog, *, models=True):
    folder = folder_of(source)
    plan = plan_upgrade(folder, catalog)
    write_upgraded(folder, plan.texts, out, models=models)
    return plan


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# -- texts -----------------------------------------------------------------------------


def document(text):
    source = read_json(text)
    return Document("file.json", source, json.loads(text))


def test_a_text_keeps_the_order_of_keys_and_the_spelling_of_numbers():
    text = '{"b": 1e-4, "a": [1, 2.50, "x"], "c": {"z": true, "y": null, "é": "ü"}, "e": {}}'
    changed = document(text)
    changed.value["new"] = 1.0
    changed.value["format_version"] = 1
    changed.moves[("moved",)] = ("a",)
    changed.value["moved"] = changed.value.pop("a")

    assert document_text(changed) == (
        '{\n  "format_version": 1,\n  "b": 1e-4,\n  "moved": [1, 2.50, "x"],\n  "c": {\n'
        '    "z": true,\n    "y": null,\n    "é": "ü"\n  },\n  "e": {},\n  "new": 1.0\n}\n'
    )


def test_a_number_that_changed_is_written_as_it_is_now():
    changed = document('{"a": 1e2, "b": 7}')
    changed.value.update(a=2.5, b=7.0)

    assert json.loads(document_text(changed)) == {"a": 2.5, "b": 7.0}
    assert '"b": 7.0' in document_text(changed)


def test_a_list_that_is_long_or_holds_objects_has_a_line_for_each():
    text = json.dumps({"a": [{"n": 1}, []], "b": ["x" * 50, "y" * 50]})

    assert json.loads(document_text(document(text))) == json.loads(text)
    assert document_text(document(text)).count("\n") == 12


# -- the whole -------------------------------------------------------------------------


def test_an_older_archive_becomes_one_without_notes_of_an_upgrade(tmp_path, registry):
    before = contents(OLDER)
    plan = upgraded(OLDER, tmp_path / "new", registry)

    assert contents(OLDER) == before
    assert sorted(plan.texts) == [CLIENT, SERVER, TRAIN]
    train = json.loads((tmp_path / "new" / TRAIN).read_text())
    assert train["train"]["model"] == {"name": "UNet"}
    report = validate(tmp_path / "new", registry).report
    said = {f.code for f in report.findings}
    assert not {code for code in said if code.startswith("MMAR21")} | (said & {"MMAR515"})
    server = json.loads((tmp_path / "new" / SERVER).read_text())
    assert server["aggregator"] == {"name": "FedAvg"}
    assert server["validate_every"] == 2
    assert list(server)[:2] == ["format_version", "servers"]
    client = json.loads((tmp_path / "new" / CLIENT).read_text())
    assert client["client_trainer"]["name"] == "MonaiTrainer"
    assert client["outbound_filters"] == [
        {"name": "Scale", "args": {"factor": 0.5}},
        *({"name": "Lock"}, {"name": "Pack"}),
    ]


@pytest.mark.parametrize("source", [OLDER, *SAMPLES], ids=lambda path: path.name)
def test_a_second_upgrade_changes_nothing(source, tmp_path, registry):
    upgraded(source, tmp_path / "new", registry)
    plan = upgraded(tmp_path / "new", tmp_path / "again", registry)

    assert plan.texts == {}
    assert plan.changes == []
    assert contents(tmp_path / "new") == contents(tmp_path / "again")
    if source != OLDER:
        assert contents(source) == contents(tmp_path / "new")


def test_variables_comments_and_what_is_switched_off_stay(mmar, tmp_path):
    mmar.client["client"]["retry_timeout"] = 30
    mmar.client["_why"] = "for the record"
    mmar.client["client_trainer"]["args"]["local_epochs"] = "{EPOCHS}"
    mmar.client["client"]["outbound_filters"] += [{"name": "Nothing", "disabled": True}]
    mmar.train["learning_rate"] = 0.5
    plan = upgraded(mmar.save(), tmp_path / "new", mmar.catalog)

    del mmar.client["client"]["retry_timeout"]
    assert json.loads(plan.texts[CLIENT]) == mmar.client
    assert list(plan.texts) == [CLIENT]


def test_names_are_those_of_today_at_any_depth_and_labels_stay(mmar, tmp_path):
    known = mmar.catalog
    mmar.server["aggregator"] = {"path": "old.package.Aggregator", "name": "x"}
    mmar.server["handlers"] = [{"name": "Chain", "args": {"steps": [{"name": "Best"}]}}]
    plan = upgraded(mmar.save(), tmp_path / "new", known)

    server = json.loads(plan.texts[SERVER])
    assert server["aggregator"] == {"name": "FedAvg"}
    assert server["handlers"] == mmar.server["handlers"]
    assert [(f.code, f.pointer) for f in plan.changes] == [("MMAR515", "/aggregator/path")]


def test_workflow_files_have_the_arguments_of_today_and_references_still_lead_there(
    tmp_path, registry
):
    older = Path(shutil.copytree(ROOT / "mmars" / "spheres_unet", tmp_path / "older"))
    train = json.loads((older / TRAIN).read_text())
    _as_it_was(train)
    (older / TRAIN).write_text(json.dumps(train, indent=2))
    _nothing_but_notes(older, registry, {"MMAR213"})

    plan = upgraded(older, tmp_path / "new", registry)

    assert list(plan.texts) == [TRAIN]
    new = json.loads(plan.texts[TRAIN])
    assert new["train"]["model"]["args"]["spatial_dims"] == 3
    assert "dimensions" not in plan.texts[TRAIN]
    channel = new["train"]["pre_transforms"][1]
    assert channel["name"] == "EnsureChannelFirstd#AddChanneld"
    assert channel["args"]["channel_dim"] == "no_channel"
    assert {"ref": "AddChanneld"} in new["validate"]["pre_transforms"]
    assert '"lr": "{learning_rate}"' in plan.texts[TRAIN]
    _nothing_but_notes(tmp_path / "new", registry, set())


def _as_it_was(train):
    """Write a workflow as it was written for MONAI 0.5."""
    args = train["train"]["model"]["args"]
    args["dimensions"] = args.pop("spatial_dims")
    (place,) = (
        index
        for index, one in enumerate(train["train"]["pre_transforms"])
        if one.get("name") == "EnsureChannelFirstd"
    )
    train["train"]["pre_transforms"][place]["name"] = "AddChanneld"
    listed = train["validate"]["pre_transforms"]
    listed[:] = [
        {"ref": "AddChanneld"} if "EnsureChannelFirstd" in one.values() else one for one in listed
    ]


def _nothing_but_notes(folder, registry, codes):
    found = validate(folder, registry).report.findings
    assert {f.code for f in found} == codes, found
    assert {f.severity for f in found} <= {"note"}


# -- files -----------------------------------------------------------------------------


def test_everything_else_is_copied_and_keys_and_signatures_are_not(mmar, tmp_path):
    mmar.save()
    mmar.write("custom/net.py", "class Net: ...\n")
    mmar.write("models/model.pt", b"\0" * 10)
    mmar.write(".gitignore", "eval\n")
    mmar.write("resources/certs/client.key", KEY)
    mmar.write("signature.json", "{}")
    script = mmar.write("commands/train.sh", "echo\n")
    script.chmod(0o755)
    (mmar.root / "config" / "linked.json").symlink_to("config_train.json")

    left = write_upgraded(folder_of(mmar.root), {}, tmp_path / "new", models=True)

    assert left == {
        "resources/certs/client.key": "it holds a private key",
        "signature.json": "it is of the files as they were",
    }
    new = tmp_path / "new"
    expected = contents(mmar.root)
    del expected["signature.json"], expected["resources/certs/client.key"]
    assert contents(new) == expected
    assert not (new / "config" / "linked.json").is_symlink()
    assert os.access(new / "commands" / "train.sh", os.X_OK)
    assert new.stat().st_mode & 0o777 == 0o755
    left = write_upgraded(folder_of(mmar.root), {}, tmp_path / "small", models=False)
    assert "models/model.pt" in left
    assert not (tmp_path / "small" / "models").exists()


def test_a_failure_leaves_nothing(mmar, tmp_path):
    mmar.save()
    folder = folder_of(mmar.root)
    shutil.rmtree(mmar.root / "config")

    with pytest.raises(StorageError, match="new"):
        write_upgraded(folder, {}, tmp_path / "out" / "new", models=True)

    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_holds_something_is_refused(mmar, tmp_path):
    root = mmar.save()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(UsageError, match="not an empty folder"):
            require_free(tmp_path / name, root)
    with pytest.raises(UsageError, match="within the archive"):
        require_free(root / "new", root)
    (tmp_path / "empty").mkdir()
    require_free(tmp_path / "empty", root)
    write_upgraded(folder_of(root), {}, tmp_path / "empty", models=True)
    assert (tmp_path / "empty" / "config").is_dir()


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"servers": [}', "cannot be read"), ('{"format_version": 2}', "NVIDIA FLARE 2")],
)
def test_what_is_no_archive_or_not_json_is_refused(mmar, content, words):
    mmar.save()
    mmar.write(SERVER, content)

    with pytest.raises(MmarInvalidError, match=words) as caught:
        plan_upgrade(folder_of(mmar.root), mmar.catalog)

    assert caught.value.findings
