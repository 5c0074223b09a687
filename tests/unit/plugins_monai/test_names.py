# SPDX-License-Identifier: Apache-2.0
"""The names of MONAI's and Ignite's parts: found without importing either, and checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.doctor import schema_problems
from mmar_runner.interfaces.catalog import TRAINER_PARTS
from mmar_runner.mmar.components.upgrades import upgrade_arguments
from mmar_runner_monai.names import FETCHED, KINDS, PERCEPTUAL, PREFIXES, TABLES, UNFIT
from mmar_runner_monai.schemas import PART_NAMES

ROOT = Path(__file__).resolve().parents[3]
MAKE = ROOT / "plugins" / "trainers" / "monai" / "tools" / "make_tables.py"
#: Names that archives of Clara Train 4.x use.
USED = {
    "transform": "LoadImaged Spacingd EnsureChannelFirstd ScaleIntensityRanged CropForegroundd "
    "RandCropByPosNegLabeld RandShiftIntensityd ToTensord Activationsd AsDiscreted AddChanneld "
    "Orientationd NormalizeIntensityd RandFlipd RandRotate90d Resized SpatialPadd SaveImaged",
    "model": "UNet DynUNet SegResNet VNet AHNet BasicUNet DenseNet121 UNETR ResNet",
    "loss": "DiceLoss DiceCELoss DiceFocalLoss FocalLoss GeneralizedDiceLoss TverskyLoss",
    "metric": "MeanDice ConfusionMatrix ROCAUC SurfaceDistance HausdorffDistance IgniteAccuracy",
    "engine_handler": "CheckpointLoader CheckpointSaver LrScheduleHandler ValidationHandler "
    "StatsHandler TensorBoardStatsHandler MetricsSaver SegmentationSaver EarlyStopHandler",
    "inferer": "SimpleInferer SlidingWindowInferer",
    "dataset": "Dataset CacheDataset PersistentDataset SmartCacheDataset",
    "dataloader": "DataLoader",
    "engine": "SupervisedTrainer SupervisedEvaluator",
    "optimizer": "Novograd",
    "lr_scheduler": "WarmupCosineSchedule",
}


@pytest.fixture(scope="module")
def registry():
    return load_plugins().registry


@pytest.mark.parametrize(("kind", "names"), USED.items())
def test_the_names_that_archives_use_are_known(registry, kind, names):
    unknown = [name for name in names.split() if registry.find(kind, name) is None]
    assert not unknown


def test_every_entry_is_a_component_with_a_summary(registry):
    found = [d for d in registry.tabled_descriptions() if d.distribution == "mmar-runner-monai"]

    assert len(found) > 400
    assert not [d.name for d in found if not d.summary]
    assert {d.kind for d in found} == {*KINDS} <= TRAINER_PARTS


def test_defaults_fit_their_schemas(registry):
    wrong = [
        (d.name, name)
        for d in registry.tabled_descriptions()
        for name, schema in d.args_schema["properties"].items()
        if "default" in schema and faults(schema, schema["default"])
    ]
    assert not wrong


@pytest.mark.parametrize("kind", ["engine_handler", "inferer", "metric"])
def test_schemas_are_schemas(registry, kind):
    assert not [p for d in registry.tabled_descriptions(kind) for p in schema_problems(d)]


def test_no_name_is_another_plugins(registry):
    assert not registry.conflicts()


def test_names_with_another_meaning_lead_to_a_component(registry):
    for kind, names in PART_NAMES.items():
        assert all(registry.find(kind, meant) is not None for meant in names.values())


def test_what_became_of_an_older_class_is_known(registry):
    older = [d for d in registry.tabled_descriptions() if "becomes" in d.extras]

    assert {"AddChanneld", "LoadNiftid", "SplitChanneld"} <= {d.name for d in older}
    assert all(registry.find(d.kind, d.extras["becomes"]) is not None for d in older)


def test_an_entry_holds_no_rule_that_takes_what_the_class_takes(registry):
    """Such a rule would change arguments that are right as they are."""
    for found in registry.tabled_descriptions():
        known = found.args_schema["properties"]
        for rule in found.extras.get("upgrades", ()):
            texts = all(isinstance(one, str) for one in rule.get("is", [None]))
            gone = {*rule.get("rename", ()), *(() if texts else rule.get("drop", ()))}
            assert not gone & known.keys(), found.name
    assert callable(upgrade_arguments)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("model", "monai.networks.nets.unet.UNet"),
        ("model", "monai.networks.nets.UNet"),
        ("loss", "monai.losses.DiceLoss"),
        ("metric", "ignite.metrics.Accuracy"),
        ("transform", "monai.transforms.utility.dictionary.AddChanneld"),
    ],
)
def test_class_paths_lead_to_entries(registry, kind, path):
    assert registry.at_target(kind, path) is not None
    assert registry.find(kind, path).path_prefix


@pytest.mark.parametrize(
    "path",
    [
        "monai.bundle.scripts.run",
        "monai.apps.download_url",
        "monai.apps.auto3dseg.bundle_gen.BundleGen",
        "os.path",
    ],
)
def test_other_packages_are_not_open(registry, path):
    kinds = [kind for kind in KINDS if registry.find(kind, path) is not None]
    assert kinds == []


def test_handlers_that_send_elsewhere_cannot_be_used():
    assert ("engine_handler", "monai.handlers.") in PREFIXES
    assert "outside the site" in UNFIT["engine_handler"]["monai.handlers.MLFlowHandler"]


@pytest.mark.parametrize(
    ("kind", "name", "args"),
    [
        ("transform", "LoadImaged", {"keys": "image", "reader": "subprocess.Popen"}),
        ("transform", "LoadImage", {"reader": "os.system"}),
        ("transform", "SaveImaged", {"keys": "pred", "writer": "os.system"}),
        ("model", "FlexibleUNet", {"in_channels": 1, "out_channels": 1, "backbone": "os.path"}),
        ("model", "SENet154", {"spatial_dims": 2, "in_channels": 3, "pretrained": True}),
        ("transform", "LoadImaged", {"keys": "image", "reader": "CSVSaver"}),
        ("transform", "LoadImage", {"reader": ["CSVSaver"]}),
        ("transform", "SaveImaged", {"keys": "pred", "writer": "CSVSaver"}),
        ("model", "HoVerNet", {"pretrained_url": "http://127.0.0.1:1/x"}),
        ("engine", "SupervisedEvaluator", {"compile": True}),
        ("engine", "SupervisedTrainer", {"max_epochs": 1, "compile_kwargs": {"options": {}}}),
        ("dataset", "PersistentDataset", {"cache_dir": "c", "weights_only": False}),
        ("dataset", "PersistentDataset", {"cache_dir": "c", "pickle_module": "os"}),
    ],
)
def test_no_argument_leads_to_other_code_or_the_network(registry, kind, name, args):
    found = registry.find(kind, name)

    assert [fault.kind for fault in faults(found.args_schema, args)] == ["value"]


@pytest.mark.parametrize(
    ("kind", "name", "argument", "right", "wrong"),
    [
        ("transform", "Spacing", "mode", ["bilinear", "3", 3], ["bilinaer", 7]),
        (
            "transform",
            "Spacingd",
            "mode",
            ["bilinear", ["bilinear", "nearest"], [3, 0]],
            ["linaer"],
        ),
        (
            "transform",
            "Spacingd",
            "padding_mode",
            ["border", ["zeros", "border"]],
            ["bordr", ["x"]],
        ),
        (
            "transform",
            "Resized",
            "mode",
            ["area", "nearest-exact", ["area"]],
            ["Area", ["area", 9]],
        ),
        ("transform", "Resized", "size_mode", ["all", "longest"], ["shortest"]),
        ("transform", "SpatialPadd", "mode", ["edge", "wrap", ["reflect"]], ["edges"]),
        ("transform", "SpatialPadd", "method", ["symmetric", "end"], ["begin"]),
        ("transform", "GridPatchd", "pad_mode", [None, "constant"], ["none"]),
        ("loss", "DiceLoss", "reduction", ["mean", "none"], ["average"]),
        ("loss", "GeneralizedDiceLoss", "w_type", ["simple"], ["plain"]),
        ("metric", "MeanDice", "reduction", ["mean_batch", "none"], ["mean_class"]),
        ("metric", "ROCAUC", "average", ["micro"], ["mini"]),
        ("inferer", "SlidingWindowInferer", "padding_mode", ["circular"], ["edge"]),
        ("model", "SegResNet", "upsample_mode", ["deconv"], ["deconvolve"]),
        ("model", "HoVerNet", "mode", ["FAST", "fast"], ["quick"]),
        ("engine_handler", "SegmentationSaver", "mode", ["nearest"], ["nearst"]),
    ],
)
def test_an_argument_of_fixed_words_takes_no_other(registry, kind, name, argument, right, wrong):
    schema = registry.find(kind, name).args_schema["properties"][argument]

    assert not [value for value in right if faults(schema, value)]
    assert not [value for value in wrong if not faults(schema, value)]


@pytest.mark.parametrize("mode", ["bilinaer", ["bilinaer", "nearest"]])
def test_a_misspelt_mode_is_found_with_the_word_that_was_meant(found, mode):
    def change(value):
        [spacing] = [t for t in value["train"]["pre_transforms"] if t["name"] == "Spacingd"]
        spacing["args"]["mode"] = mode

    [said] = found(change)

    assert (said.code, said.hint) == ("MMAR514", "Did you mean 'bilinear'?")
    assert "/args/mode" in said.pointer


def test_what_fetches_or_compiles_has_no_name(registry):
    for name in (*PERCEPTUAL, *FETCHED):
        assert all(registry.find(kind, name) is None for kind in KINDS)


def test_everything_says_by_whom_it_is_admitted(registry):
    stated = {d.extras.get("admitted_by") for d in registry.tabled_descriptions()}
    assert stated == {"mmar_runner_monai.harmless:require_admitted"}
    assert {registry.find(k, f"{p}X").extras["admitted_by"] for k, p in PREFIXES} == stated


def test_looking_names_up_imports_no_framework():
    watch = (
        "import sys; from mmar_runner.hooks import load_plugins; r = load_plugins().registry; "
        "r.tabled_descriptions(); r.find('transform', 'Spacingd'); "
        "print(sorted({'monai', 'ignite', 'torch', 'numpy', 'nibabel'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_table_is_an_entry_a_line():
    for kind in KINDS:
        text = (TABLES / f"{kind}.json").read_text()
        assert len(text.splitlines()) == len(json.loads(text)) + 2


@pytest.mark.slow  # imports all of MONAI
@pytest.mark.timeout(300)
def test_the_tables_are_what_is_installed():
    made = subprocess.run(
        [sys.executable, str(MAKE), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert (made.returncode, made.stdout) == (0, "")
