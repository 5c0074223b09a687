# SPDX-License-Identifier: Apache-2.0
"""Small MONAI bundles, written as data: a layer on a table of numbers, trained in no time."""

from __future__ import annotations

import json
from typing import Any


def table(rows: int, shift: int = 0) -> list[dict[str, Any]]:
    """Return labelled rows of four numbers, drawn from no chance."""
    found = []
    for index in range(shift, shift + rows):
        numbers = [((index * step) % 7 - 3) / 3 for step in (1, 2, 3, 5)]
        found.append({"image": numbers, "label": [float(numbers[0] + numbers[1] > 0)]})
    return found


def training(data: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return a training configuration without any expression."""
    return {
        "bundle_root": ".",
        "device": {"_target_": "torch.device", "type": "cpu"},
        "dataset_dir": "/workspace/data",
        "width": 4,
        "network_def": {
            "_target_": "torch.nn.Linear",
            "in_features": "@width",
            "out_features": 1,
        },
        "loss": {"_target_": "torch.nn.BCEWithLogitsLoss"},
        "optimizer": {
            "_target_": "torch.optim.SGD",
            "params": {
                "_target_": "generate_param_groups",
                "network": "@network_def",
                "layer_matches": [],
                "match_types": [],
                "lr_values": [],
            },
            "lr": 0.5,
        },
        "train": {
            "preprocessing": {
                "_target_": "Compose",
                "transforms": [{"_target_": "ToTensord", "keys": ["image", "label"]}],
            },
            "dataset": {
                "_target_": "Dataset",
                "data": table(24) if data is None else data,
                "transform": "@train::preprocessing",
            },
            "dataloader": {
                "_target_": "DataLoader",
                "dataset": "@train::dataset",
                "batch_size": 8,
                "shuffle": True,
            },
            "inferer": {"_target_": "SimpleInferer"},
            "trainer": {
                "_target_": "SupervisedTrainer",
                "max_epochs": 1,
                "device": "@device",
                "train_data_loader": "@train::dataloader",
                "network": "@network_def",
                "loss_function": "@loss",
                "inferer": "@train::inferer",
                "optimizer": "@optimizer",
            },
        },
        "validate": {
            "dataset": {
                "_target_": "Dataset",
                "data": table(8, shift=3),
                "transform": "@train::preprocessing",
            },
            "dataloader": {
                "_target_": "DataLoader",
                "dataset": "@validate::dataset",
                "batch_size": 8,
            },
            "inferer": {"_target_": "SimpleInferer"},
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "device": "@device",
                "val_data_loader": "@validate::dataloader",
                "network": "@network_def",
                "inferer": "@validate::inferer",
                "postprocessing": {
                    "_target_": "Compose",
                    "transforms": [
                        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
                        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
                    ],
                },
                "key_val_metric": {
                    "val_accuracy": {
                        "_target_": "ignite.metrics.Accuracy",
                        "output_transform": {
                            "_target_": "from_engine",
                            "keys": ["pred", "label"],
                        },
                    }
                },
            },
        },
    }


def with_expressions() -> dict[str, Any]:
    """Return the same as bundles are usually written."""
    config = training()
    config["imports"] = ["$import torch"]
    config["device"] = "$torch.device('cpu')"
    config["optimizer"]["params"] = "$@network_def.parameters()"
    config["train"]["dataset"]["data"] = "$[dict(r) for r in @rows]"
    config["rows"] = table(24)
    return config


METADATA = {
    "version": "0.3.1",
    "task": "Tells positive sums from negative ones.",
    "monai_version": "1.4",
}


def write_bundle(folder, config=None, files=()):
    """Write a bundle and return its folder; further files by name."""
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "train.json").write_text(json.dumps(config or training(), indent=2))
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "configs" / "logging.conf").write_text("[loggers]\nkeys=root\n")
    (folder / "configs" / "inference.json").write_text('{"x": "$print(1)"}')
    (folder / "docs").mkdir()
    (folder / "docs" / "README.md").write_text("# A bundle\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    for name, content in dict(files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
