# SPDX-License-Identifier: Apache-2.0
"""Whatever an archive declares, a site's data stay as they are, and nothing appears elsewhere."""

from __future__ import annotations

import os

import pytest
import torch
from monai.data import MetaTensor

from mmar_runner.documents.schema_check import faults
from mmar_runner.errors import MmarRunnerError, NotAuthorizedError, TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.bundle.guard import Guard
from mmar_runner_monai.folders import Place, inside_workspace
from mmar_runner_monai.measures import metrics_of
from mmar_runner_monai.parts import Parts
from mmar_runner_monai.workflow_schemas import MOST_METRICS, TRAIN_SCHEMA

from .conftest import PAIR, catalog

PRED = {"keys": "pred"}
SAVED = {"save_dict": ["model"], "save_final": True}
#: Kind, class and arguments, with {data} for the site's folder of data and {work} for the
#: client's workspace, whose folder ``link`` leads to the data.
ATTACKS = [
    ("transform", "SaveClassificationd", {**PRED, "output_dir": "{data}", "filename": "list.json"}),
    ("transform", "SaveClassificationd", {**PRED, "output_dir": "hub", "filename": "hubconf.py"}),
    ("transform", "SaveClassificationd", {**PRED, "filename": "{data}/list.json"}),
    ("transform", "SaveClassificationd", {**PRED, "filename": "../../data/list.json"}),
    ("transform", "SaveClassificationd", {**PRED, "output_dir": "link", "filename": "list.json"}),
    ("transform", "SaveClassificationd", {**PRED, "output_dir": "linked", "filename": "file.csv"}),
    ("transform", "SaveImaged", {**PRED, "output_dir": "{data}/x"}),
    ("transform", "SaveImaged", {**PRED, "output_dir": "{work}/../x"}),
    ("transform", "SaveImaged", {**PRED, "output_dir": "x", "output_postfix": "/../../image"}),
    ("transform", "SaveImaged", {**PRED, "output_dir": "x", "output_ext": "/../../a.nii.gz"}),
    ("transform", "SaveImaged", {**PRED, "output_dir": "x", "output_ext": ".so"}),
    ("transform", "SaveImaged", {**PRED, "output_ext": "", "output_format": "/../a.nii.gz"}),
    ("transform", "SaveImage", {"output_dir": "{data}/x"}),
    ("transform", "WriteFileMappingd", {**PRED, "mapping_file_path": "{data}/list.json"}),
    ("transform", "WriteFileMappingd", {**PRED, "mapping_file_path": "hub/hubconf.py"}),
    ("dataset", "PersistentDataset", {"cache_dir": "{data}/cache"}),
    ("dataset", "PersistentDataset", {"cache_dir": "../cache"}),
    ("dataset", "monai.data.GDSDataset", {"cache_dir": "{data}/cache", "device": 0}),
    ("engine_handler", "CheckpointSaver", {"save_dir": "{data}", **SAVED}),
    (
        *("engine_handler", "CheckpointSaver"),
        {"save_dir": "models", **SAVED, "final_filename": "{data}/image.nii.gz"},
    ),
    (
        *("engine_handler", "CheckpointSaver"),
        {"save_dir": "models", **SAVED, "key_metric_filename": "../../data/image.nii.gz"},
    ),
    ("engine_handler", "CheckpointSaver", {"save_dir": "m", **SAVED, "file_prefix": "../x"}),
    ("engine_handler", "CheckpointSaver", {"save_dir": "m", **SAVED, "final_filename": "x.pth"}),
    ("engine_handler", "LogfileHandler", {"output_dir": "logs", "filename": "{data}/notes.txt"}),
    ("engine_handler", "LogfileHandler", {"output_dir": "logs", "filename": "sitecustomize.py"}),
    ("engine_handler", "MetricsSaver", {"save_dir": "{data}"}),
    ("engine_handler", "ClassificationSaver", {"output_dir": "{data}", "filename": "list.json"}),
    ("engine_handler", "ClassificationSaver", {"filename": "{data}/list.json"}),
    ("engine_handler", "TensorBoardImageHandler", {"log_dir": "{data}/runs"}),
    ("engine_handler", "SegmentationSaver", {"output_dir": "{data}/x"}),
    ("engine_handler", "ignite.handlers.DiskSaver", {"dirname": "{data}/x"}),
    ("engine_handler", "ignite.handlers.ModelCheckpoint", {"dirname": "{data}/x"}),
    ("engine_handler", "ignite.handlers.TensorboardLogger", {"log_dir": "{data}/x"}),
    ("engine_handler", "ignite.handlers.TensorboardLogger", {"logdir": "{data}/x"}),
    ("engine_handler", "ignite.handlers.TensorboardLogger", {"comment": "/../../data/x"}),
]
#: What archives of that time declare.
HARMLESS = [
    ("CheckpointSaver", {"save_dir": "models", "final_filename": "model_final.pt", **SAVED}),
    ("CheckpointSaver", {"save_dir": "{mmar}/models", "key_metric_filename": "best.pt", **SAVED}),
    ("SegmentationSaver", {"output_dir": "eval", "output_postfix": "", "output_ext": ".nii.gz"}),
    ("LogfileHandler", {"output_dir": "./", "filename": "train.log"}),
    ("MetricsSaver", {"save_dir": "eval/metrics", "metric_details": ["val_mean_dice"]}),
]


@pytest.fixture
def places(site):
    """Return the site and a folder of data, with links into it from the workspace."""
    data = site.folder / "data"
    data.mkdir()
    for name in ("list.json", "image.nii.gz", "notes.txt", "file.csv"):
        (data / name).write_text(f"the site's {name}")
    work = site.context().workspace
    (work / "link").symlink_to(data)
    (work / "linked").mkdir()
    (work / "linked" / "file.csv").symlink_to(data / "file.csv")
    return site, data


def content(folder):
    return {
        str(path.relative_to(folder)): path.is_dir() or path.read_text()
        for path in folder.rglob("*")
        if not path.is_relative_to(folder / "workspace")
    }


def filled(arguments, **places):
    return {
        name: value.format(**places) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


@pytest.mark.parametrize(("kind", "name", "arguments"), ATTACKS)
def test_no_part_writes_or_deletes_elsewhere(places, monkeypatch, kind, name, arguments):
    site, data = places
    work = site.context().workspace
    monkeypatch.chdir(work)
    arguments = filled(arguments, data=data, work=work)
    before = content(site.folder)
    given = {"data": [], "transform": None} if kind == "dataset" else {}
    part = {"path" if "." in name else "name": name, "args": arguments}

    with pytest.raises(MmarRunnerError, match=name.rpartition(".")[2]):
        Parts(site.context()).build(ComponentKind(kind), part, **given)

    assert content(site.folder) == before
    assert not list(work.rglob("*.py"))


@pytest.mark.parametrize(("kind", "name", "arguments"), ATTACKS)
def test_one_function_refuses_all_of_them(places, monkeypatch, kind, name, arguments):
    del kind
    site, data = places
    work = site.context().workspace
    monkeypatch.chdir(work)
    arguments = filled(arguments, data=data, work=work)
    before = content(site.folder)

    said = rf"{name.rpartition('.')[2]}( \('({'|'.join(arguments)})'\))? (would|may not) write"
    with pytest.raises(TaskFailedError, match=said):
        inside_workspace(name, arguments, Place(work, site.mmar))

    assert content(site.folder) == before


@pytest.mark.parametrize(("kind", "name", "arguments"), ATTACKS)
def test_no_bundle_does_either(places, monkeypatch, kind, name, arguments):
    site, data = places
    work = site.context().workspace
    monkeypatch.chdir(work)
    before, called = content(site.folder), []
    guard = Guard(Place(work))
    guard._instantiate = lambda *given, **_: called.append(given)
    known = None if "." in name else catalog().find(kind, name)
    path = name if known is None else known.target.replace(":", ".")

    with pytest.raises((TaskFailedError, NotAuthorizedError)):
        guard._called(path, "default", **filled(arguments, data=data, work=work))

    assert not called
    assert content(site.folder) == before


def test_what_a_bundle_writes_is_written_in_the_workspace(site):
    work, called = site.context().workspace, []
    guard = Guard(Place(work))
    guard._instantiate = lambda *_, **given: called.append(given)
    arguments = {"save_dir": str(work / "app" / "models"), "final_filename": "final.pt"}

    guard._called("monai.handlers.CheckpointSaver", "default", **arguments)

    assert called == [arguments]
    assert (work / "app" / "models").is_dir()


@pytest.mark.parametrize(("name", "arguments"), HARMLESS)
def test_what_archives_write_is_written_in_the_workspace(site, monkeypatch, name, arguments):
    context = site.context()
    monkeypatch.chdir(context.workspace)
    arguments = filled(arguments, mmar=site.mmar)
    if "save_dict" in arguments:
        arguments["save_dict"] = {}
    description = catalog().find("engine_handler", name)
    found = inside_workspace(name, arguments, Place(context.workspace, context.mmar))

    assert not faults(description.args_schema, arguments)
    assert found
    assert all(os.path.isdir(one) for one in found.values())  # noqa: PTH112 - they are texts
    assert all(one.startswith(str(context.workspace.resolve())) for one in found.values())


@pytest.mark.parametrize(
    ("kind", "name", "arguments"),
    [
        ("transform", "SaveClassificationd", {**PRED, "filename": "hubconf.py"}),
        ("transform", "SaveImaged", {**PRED, "output_dir": "a/../../b"}),
        ("transform", "WriteFileMappingd", {**PRED, "mapping_file_path": "../m.json"}),
        ("dataset", "PersistentDataset", {"cache_dir": ".."}),
        ("engine_handler", "CheckpointSaver", {"save_dir": "m", **SAVED, "final_filename": "/x"}),
        ("engine_handler", "SegmentationSaver", {"output_dir": "x", "output_postfix": "a/b"}),
    ],
)
def test_what_can_be_known_is_a_finding(kind, name, arguments):
    schema = catalog().find(kind, name).args_schema
    assert [fault.kind for fault in faults(schema, arguments)] == ["value"]


@pytest.mark.parametrize("root", ["{data}", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"])
def test_an_image_stays_below_its_folder_wherever_its_input_is(places, root):
    site, data = places
    before = content(site.folder)
    folder = data / "deep" if root == "{data}" else site.folder
    arguments = {
        "output_dir": "out",
        "output_postfix": "",
        "separate_folder": False,
        "data_root_dir": str(data / "other") if root == "{data}" else root,
        "print_log": False,
    }
    image = MetaTensor(torch.ones(1, 2, 2, 2), meta={"filename_or_obj": f"{folder}/image.nii.gz"})
    part = {"name": "SaveImage", "args": arguments}
    save = Parts(site.context()).build(ComponentKind.TRANSFORM, part)

    with pytest.raises(TaskFailedError, match="an image would be written to"):
        save(image)

    assert content(site.folder) == before


@pytest.mark.parametrize("label", ["../../data/list", "/etc/x", "a/b", ".x", "a\0b"])
def test_a_label_is_a_plain_name(site, label):
    section = {
        "metrics": [{"name": "MeanDice", "log_label": label, "args": {"output_transform": PAIR}}]
    }
    with pytest.raises(TaskFailedError, match="'MeanDice' may not be called"):
        metrics_of(Parts(site.context()), section, "val_")
    schema = TRAIN_SCHEMA["properties"]["validate"]["properties"]["metrics"]
    assert faults(schema, section["metrics"])


def test_a_site_sends_no_more_metrics_than_somebody_reads(site):
    metric = {"name": "MeanDice", "args": {"output_transform": PAIR}}
    section = {"metrics": [metric] * (MOST_METRICS + 1)}
    with pytest.raises(TaskFailedError, match="there are 101 metrics, and a site sends at most"):
        metrics_of(Parts(site.context()), section, "val_")


@pytest.mark.parametrize(
    ("kind", "name"), [("metric", "GeometricAverage"), ("engine_handler", "StatsHandler")]
)
@pytest.mark.parametrize(
    "text",
    [
        "lambda x: x[0]['image'][0][10][10][5]",
        "lambda x: x['image'][0][1]",
        "lambda x: (x[0]['a'], x[1]['b'])",
    ],
)
def test_no_voxel_is_told(site, kind, name, text):
    part = {"name": name, "args": {"output_transform": text}}
    with pytest.raises(MmarRunnerError, match="no further item is taken by its position"):
        Parts(site.context()).build(ComponentKind(kind), part)
    found = faults(catalog().find(kind, name).args_schema, part["args"])
    assert "no further item is taken by its position" in found[0].message


@pytest.mark.parametrize(
    "text",
    [
        PAIR,
        "lambda x: x['loss']",
        "lambda x: None",
        "lambda x: x['image_meta_dict']",
        "lambda x: x[0]['loss']",
        "lambda x: [x['pred'], x['label']]",
    ],
)
def test_the_functions_of_archives_are_told(site, text):
    for kind, name in (("metric", "MeanSquaredError"), ("engine_handler", "StatsHandler")):
        part = {"name": name, "args": {"output_transform": text}}
        assert Parts(site.context()).build(ComponentKind(kind), part)
        assert not faults(catalog().find(kind, name).args_schema, part["args"])
