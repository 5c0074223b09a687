# SPDX-License-Identifier: Apache-2.0
"""What a stranger declares runs no code, whether a list knows it or only a wall is in its way.

One process, which the walls change for good, tries everything; the tests look at what came of it.
In its working folder lies what such a stranger could have written there: code for torch's hub.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mmar_runner.mmar.bundle.texts import uses
from mmar_runner_monai.harmless import FETCHING, PASSED_ON, refused_in

SCRIPT = """
import json, sys
from functools import partial
from pathlib import Path
declared, here = json.loads(sys.stdin.read()), Path.cwd()
canary = str(here / "canary")
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner_monai.parts import Parts
registry = load_plugins(allow=["mmar-runner-torch", "mmar-runner-monai"]).registry
made = partial(blueprint, registry, allowed=["monai.", "ignite."])
parts = Parts(TrainerContext("site-1", here, here, {}, {}, {}, made))
said = {}
def tried(name, call):
    try:
        found = call()
        said[name] = ["done", type(found).__name__]
    except Exception as error:
        told = [str(error)]
        while (error.__cause__ or error.__context__) is not None:
            error = error.__cause__ or error.__context__
            told.append(str(error))
        said[name] = [getattr(error, "reason", type(error).__name__), " | ".join(told)]
for name, (kind, one) in declared.items():
    tried(name, lambda: parts.build(ComponentKind(kind), one))
    tried(f"{name} elsewhere", lambda: made(kind, one).build())  # by a persistor, say
import torch
import monai.networks.nets.densenet
from monai.apps.auto3dseg.bundle_gen import BundleGen
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator
from monai.losses import PerceptualLoss
from monai.networks.layers.gmm import load_module
from monai.networks.nets import HoVerNet
from monai.transforms import LoadImage
hub = dict(network_type="medicalnet_resnet10_23datasets", is_fake_3d=False, channel_wise=True)
code = f"$open({canary!r}, 'w')"
def parsed(item):
    parser = ConfigParser({"x": item})
    return parser.get_parsed_content("x")
walls = {
    "hub": lambda: PerceptualLoss(spatial_dims=3, cache_dir="hub", **hub),
    "a state by its address": lambda: monai.networks.nets.densenet.load_state_dict_from_url("x:y"),
    "compiling": lambda: SupervisedEvaluator("cpu", [1], torch.nn.Identity(), compile=True),
    "an extension": lambda: load_module("gmm", {"CHANNEL_COUNT": f"1 ; touch {canary}"}),
    "an algorithm": lambda: BundleGen(algos={"x": {"template_path": ".", "y": code}}),
    "an expression": lambda: parsed(code),
    "a target": lambda: parsed({"_target_": "os.system", "command": f"touch {canary}"}),
    "a reader": lambda: LoadImage(reader="CSVSaver", output_dir=canary),
    "a reader by its path": lambda: LoadImage(reader="subprocess.Popen", args=["touch", canary]),
    "an address": lambda: HoVerNet(pretrained_url="http://127.0.0.1:1/x"),
}
for name, call in walls.items():
    tried(f"wall: {name}", call)
print(json.dumps(said))
"""


def declared(canary):
    code = f"__import__('pathlib').Path({canary!r}).touch()"
    algos = {"x": {"template_path": ".", "y": f"$({code})"}}
    hub = {
        "spatial_dims": 3,
        "network_type": "medicalnet_resnet10_23datasets",
        "is_fake_3d": False,
        "channel_wise": True,
        "cache_dir": "hub",
    }
    flags = {"options": {"cpp.march": f"native -wrapper touch,{canary}"}}
    gmm = {"channel_count": f"1 ; touch {canary}", "mixture_count": 1, "mixture_size": 1}
    path = "monai.losses.perceptual"
    return {
        "hub": ("loss", {"name": "PerceptualLoss", "args": hub}),
        "hub by path": ("loss", {"path": "monai.losses.PerceptualLoss", "args": hub}),
        "hub's part": ("loss", {"path": f"{path}.MedicalNetPerceptualSimilarity", "args": {}}),
        "hub's other": ("loss", {"path": f"{path}.RadImageNetPerceptualSimilarity", "args": {}}),
        "compiled": ("engine", {"name": "SupervisedEvaluator", "args": {"compile": True}}),
        "so": (
            "engine",
            {"path": "monai.engines.SupervisedEvaluator", "args": {"compile_kwargs": flags}},
        ),
        "passed on": ("engine", {"name": "SupervisedEvaluator", "args": {"to_kwargs": {"x": 1}}}),
        "algorithm": (
            "transform",
            {"path": "monai.apps.auto3dseg.bundle_gen.BundleGen", "args": {"algos": algos}},
        ),
        "no data set": ("dataset", {"path": "monai.data.csv_saver.CSVSaver"}),
        "no model": ("model", {"path": "monai.networks.layers.gmm.GaussianMixtureModel",
                               "args": gmm}),
        "no transform": ("transform", {"path": "monai.transforms.utils.allow_missing_keys_mode"}),
        "no metric": ("metric", {"path": "monai.handlers.StatsHandler"}),
        "no handler": ("engine_handler", {"path": "ignite.handlers.BaseParamScheduler"}),
        "saver": ("engine_handler", {"path": "ignite.handlers.DiskSaver",
                                     "args": {"dirname": canary}}),
        "logger": ("engine_handler", {"path": "ignite.handlers.TensorboardLogger",
                                      "args": {"log_dir": canary}}),
        "sends": ("engine_handler", {"path": "monai.handlers.mlflow_handler.MLFlowHandler"}),
        "fetched": ("model", {"name": "HoVerNet", "args": {"pretrained_url": "http://x"}}),
        "reader": ("transform", {"name": "LoadImage", "args": {"reader": "CSVSaver"}}),
        "free: network": (
            "model",
            {"name": "DenseNet121",
             "args": {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}},
        ),
        "free: reader": (
            "transform",
            {"path": "monai.transforms.LoadImaged",
             "args": {"keys": "image", "reader": "NibabelReader"}},
        ),
        "free: app": (
            "transform",
            {"path": "monai.apps.detection.transforms.array.ClipBoxToImage", "args": {}},
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    here = tmp_path_factory.mktemp("walls")
    canary = here / "canary"
    cached = here / "hub" / "Project-MONAI_perceptual-models_main"
    cached.mkdir(parents=True)
    (cached / "hubconf.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        input=json.dumps(declared(str(canary))),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd=here,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), canary


@pytest.mark.slow  # an import of MONAI
@pytest.mark.timeout(180)
def test_no_code_of_a_strangers_runs(tried):
    said, canary = tried

    assert not canary.exists()
    done = {name for name, (how, _) in said.items() if how == "done"}
    assert done == {name for name in said if name.startswith("free: ")}, said
    ours = {"COMPONENT_NOT_ALLOWED", "COMPONENT_BUILD", "COMPONENT_NOT_FOUND"}
    assert {how for how, _ in said.values()} - {"done"} <= ours, said


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_wall_names_what_it_refuses(tried):
    said, _ = tried
    named = {
        "hub": "torch.hub.load",
        "a state by its address": "torch.hub.load_state_dict_from_url",
        "compiling": "torch.compile",
        "an extension": "monai._extensions.loader.load_module",
        "an algorithm": "",
        "an expression": "expression",
        "a target": "what a configuration names",
        "a reader": "monai.data.CSVSaver",
        "a reader by its path": "subprocess.Popen",
        "an address": "monai.apps.utils.download_url",
    }
    for name, what in named.items():
        how, words = said[f"wall: {name}"]
        assert (how, what in words) == ("COMPONENT_NOT_ALLOWED", True), (name, words)


def test_the_look_at_a_bundle_and_the_wall_at_the_site_refuse_the_same_arguments():
    """What the wall refuses, a check of the bundle says before."""
    asked = dict.fromkeys((*FETCHING, "allow_pickle", "weights_only", "pickle_module"), "x")
    asked |= {name: {"dtype": "x"} for name in PASSED_ON}
    for name, value in asked.items():
        assert list(refused_in({name: value})) == [name]
        assert [use.kind for use in uses({name: value})] == ["fetch"], name
    for name, inside in PASSED_ON.items():
        value = dict.fromkeys(inside, True)
        assert list(refused_in({name: value})) == []
        assert list(uses({name: value})) == []
