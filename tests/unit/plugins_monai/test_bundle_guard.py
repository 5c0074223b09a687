# SPDX-License-Identifier: Apache-2.0
"""Where expressions are refused, MONAI's own reader does nothing that needs leave.

One process, which the guard changes for good, tries everything; the tests look at what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.monai_bundles import training

SCRIPT = """
import json, sys
from pathlib import Path
attempts, here = json.loads(sys.stdin.read()), Path(sys.argv[1])
from mmar_runner_monai.bundle.guard import guard
(here / "own").mkdir()
(here / "own" / "nets.py").write_text("class Net:\\n    pass\\n")
for name in ("inside.json", "changed.json"):
    (here / "app" / name).write_text('{"x": 1}')
guard(here / "app", here / "own" if sys.argv[2] == "own" else None)
sys.path.append(str(here / "own"))
from monai.bundle import ConfigParser, ConfigWorkflow
import numpy as np, torch
said = {}
def tried(name, call):
    try:
        found = call()
        said[name] = ["done", type(found).__name__]
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__
        said[name] = [getattr(error, "reason", type(error).__name__), str(error)]
def content(config):
    parser = ConfigParser()
    parser.read_config(config)
    return parser.get_parsed_content("x")
for name, config in attempts.items():
    tried(name, lambda: content(config))
np.save(here / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
torch.save({"a": Path("x")}, here / "object.pt")
tried("np.load", lambda: np.load(here / "object.npy", allow_pickle=True))
tried("torch.load", lambda: torch.load(here / "object.pt", weights_only=False))
outside, inside = here / "outside.json", here / "app" / "inside.json"
outside.write_text("{}")
later, changed = here / "app" / "later.json", here / "app" / "changed.json"
later.write_text("{}"); changed.write_text('{"x": 2}')
tried("outside", lambda: ConfigParser.load_config_file(outside))
tried("inside", lambda: ConfigParser.load_config_file(inside))
tried("written later", lambda: ConfigParser.load_config_file(later))
tried("changed since", lambda: ConfigParser.load_config_file(changed))
tried("macro", lambda: content({"x": f"%{outside}::y"}))
print(json.dumps(said))
"""


PIPES = "torch.utils.data.datapipes.iter"


def attempts(canary):
    code = f"__import__('pathlib').Path({canary!r}).touch()"
    touch = {"args": ["touch", canary]}
    net = {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 1}
    sizes = {"channels": [2, 4], "strides": [2]}
    return {
        "expression": {"x": f"${code}"},
        "import": {"x": 1, "imports": ["$import antigravity_of_nobody"]},
        "required": {"x": {"_target_": "Identity", "_requires_": f"${code}"}},
        "system": {"x": {"_target_": "os.system", "command": f"touch {canary}"}},
        "popen": {"x": {"_target_": "subprocess.Popen", **touch}},
        "reader": {"x": {"_target_": "LoadImage", "reader": "subprocess.Popen", **touch}},
        "through a module": {
            "x": {"_target_": "monai.data.utils.os.system", "command": f"touch {canary}"}
        },
        "instantiate": {"x": {"_target_": "monai.utils.module.instantiate", "__path": "os.system"}},
        "short instantiate": {"x": {"_target_": "instantiate", "__path": "os.system"}},
        "by reference": {
            "x": {"_target_": "@name", "command": f"touch {canary}"},
            "name": "os.system",
        },
        "by macro": {"x": {"_target_": "%name", "command": f"touch {canary}"}, "name": "os.system"},
        "callable": {"x": {"_target_": "os.system", "_mode_": "callable"}},
        "debugger": {"x": {"_target_": "Identity", "_mode_": "debug"}},
        "breakpoint": {"x": {**net, **sizes, "_debug_": True}},
        "workflow": {"x": {"_target_": "monai.bundle.ConfigWorkflow", "config_file": "y.json"}},
        "pretrained": {"x": {"_target_": "DenseNet121", "pretrained": True}},
        "pretrained by default": {"x": {"_target_": "MILModel", "num_classes": 2}},
        "writes elsewhere": {
            "x": {"_target_": "CheckpointSaver", "save_dir": f"{canary}/x", "save_dict": {}}
        },
        "writes code": {"x": {"_target_": "LogfileHandler", "output_dir": "x", "filename": "a.py"}},
        "perceptual": {"x": {"_target_": "PerceptualLoss", "spatial_dims": 2}},
        "part of it": {"x": {"_target_": "monai.losses.perceptual.MedicalNetPerceptualSimilarity"}},
        "compiled": {"x": {"_target_": "Identity", "compile": True}},
        "compiled so": {"x": {"_target_": "Identity", "compile_kwargs": {"options": {}}}},
        "fetched by its address": {
            "x": {"_target_": "HoVerNet", "pretrained_url": "http://127.0.0.1:1/x"}
        },
        "compiled extension": {
            "x": {
                "_target_": "monai.networks.layers.gmm.GaussianMixtureModel",
                "channel_count": f"1 ; touch {canary}",
                "mixture_count": 1,
                "mixture_size": 1,
            }
        },
        "any name as a reader": {
            "x": {"_target_": "LoadImage", "reader": "CSVSaver", "output_dir": canary}
        },
        "a pipe that reads pickles": {
            "x": {
                "_target_": f"{PIPES}.routeddecoder.RoutedDecoderIterDataPipe",
                "datapipe": [],
            }
        },
        "a class handed on": {
            "x": {"_target_": "CSVSaver", "_mode_": "callable", "filename": "privacy.json"}
        },
        "a reader of files handed on": {
            "x": {"_target_": "load_decathlon_datalist", "_mode_": "callable"}
        },
        "a metric called by a path": {
            "x": {
                "_target_": "SupervisedEvaluator",
                "device": {"_target_": "torch.device", "device": "cpu"},
                "val_data_loader": [],
                "network": {**net, **sizes},
                "key_val_metric": {"../../x": {"_target_": "MeanDice"}},
            }
        },
        "a function handed on": {"x": {"_target_": "list_data_collate", "_mode_": "callable"}},
        "a layer handed on": {"x": {"_target_": "torch.nn.ReLU", "_mode_": "callable"}},
        "a loader": {"x": {"_target_": "torch.utils.data.DataLoader", "dataset": [1, 2]}},
        "lmdb": {"x": {"_target_": "LMDBDataset", "data": []}},
        "own": {"x": {"_target_": "nets.Net"}},
        "network": {"x": {**net, **sizes}},
        "optimizer": {**training(), "x": "@optimizer"},
        "literal": {"x": {"a": [1, "@y"]}, "y": 2},
    }


@pytest.fixture(scope="module", params=["", "own"])
def tried(request, tmp_path_factory):
    here = tmp_path_factory.mktemp("guard")
    (here / "app").mkdir()
    canary = here / "canary"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(here), request.param],
        input=json.dumps(attempts(str(canary))),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), canary, request.param


FREE = {
    *("network", "optimizer", "literal", "inside", "a function handed on", "a layer handed on"),
    "a loader",
}


@pytest.mark.slow  # two imports of MONAI
@pytest.mark.timeout(180)
def test_nothing_that_needs_leave_is_done(tried):
    said, canary, own = tried

    ours = {"np.load", "torch.load", "own", "writes elsewhere", "writes code"}
    ours.add("a metric called by a path")
    assert "may not be called" in said["a metric called by a path"][1]
    for name in ("writes elsewhere", "writes code"):
        assert said[name][0] != "done"
        assert " write" in said[name][1], said[name]
    refused = {name for name, (reason, _) in said.items() if reason == "EXPRESSIONS_NOT_ALLOWED"}
    assert not canary.exists()
    assert refused | ours | FREE == set(said), said
    assert refused.isdisjoint(FREE), said
    assert {said[name][0] for name in FREE} == {"done"}
    assert said["network"] == ["done", "UNet"]
    if own:  # code that was accepted may be called, and may load what it saved
        assert said["own"] == ["done", "Net"]
        assert {said["np.load"][0], said["torch.load"][0]} == {"done"}
    else:
        assert "own" in refused
        assert said["np.load"][0] == "ValueError"
        assert said["torch.load"][0] == "UnpicklingError"
