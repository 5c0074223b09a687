# SPDX-License-Identifier: Apache-2.0
"""What parts of a workflow need of each other, told to the MMAR validator as rules.

They say of a file what `attaching` and the engines' builders would say when a run starts. The
forms of the rules stand in docs/reference/plugins.md of the program.
"""

from __future__ import annotations

from typing import Any, Final

#: Arguments of handlers that name metrics of their engine.
_READ: Final = (
    ("CheckpointSaver", "key_metric_name"),
    ("MetricsSaver", "metrics"),
    ("MetricsSaver", "metric_details"),
)
#: Handlers that work on what only a training has.
_TRAINING: Final = ("LrScheduleHandler", "SmartCacheHandler", "ValidationHandler")
#: What a `CheckpointSaver` may be told to save where something is trained, and elsewhere.
SAVED_IN_TRAINING: Final = ("model", "optimizer", "lr_scheduler", "trainer", "validator")
SAVED_IN_VALIDATION: Final = ("model", "trainer")


def _reads(section: str, prefix: str) -> list[dict[str, Any]]:
    """Return the rules of handlers that read what their engine measures."""
    return [
        {
            "part": f"{section}/handlers/*",
            "name": name,
            "argument": argument,
            "metrics": f"{section}/metrics/*",
            "prefix": prefix,
            "label": "log_label",
        }
        for name, argument in _READ
    ]


def _saves(section: str, objects: tuple[str, ...]) -> dict[str, Any]:
    return {
        "part": f"{section}/handlers/*",
        "name": "CheckpointSaver",
        "argument": "save_dict",
        "objects": list(objects),
    }


def _validation(section: str, absent: tuple[str, ...], instead: str | None) -> list[dict[str, Any]]:
    """Return the rules of a section that measures."""
    handlers = f"{section}/handlers/*"
    return [
        {"part": f"{section}/evaluator", "is": ["SupervisedEvaluator"]},
        *({"part": handlers, "name": name, "needs": None, "instead": instead} for name in absent),
        _saves(section, SAVED_IN_VALIDATION),
        *_reads(section, "val_"),
    ]


def _works_on(name: str, needs: str, *of: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"part": "/train/handlers/*", "name": name, "needs": needs}
    return {**rule, "of": list(of)} if of else rule


TRAIN_NEEDS: Final[list[dict[str, Any]]] = [
    {"part": "/train/trainer", "is": ["SupervisedTrainer"]},
    _works_on("LrScheduleHandler", "/train/lr_scheduler"),
    _works_on("SmartCacheHandler", "/train/dataset", "SmartCacheDataset"),
    _works_on("ValidationHandler", "/validate"),
    _saves("/train", SAVED_IN_TRAINING),
    *_reads("/train", "train_"),
    *_validation("/validate", _TRAINING, "/train/handlers"),
]
#: Nothing is trained where a file of its own says how to measure.
VALIDATION_NEEDS: Final[list[dict[str, Any]]] = [
    rule
    for section in ("", "/validate")
    for rule in _validation(section, (*_TRAINING, "EarlyStopHandler"), None)
]
