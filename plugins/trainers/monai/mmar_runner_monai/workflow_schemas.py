# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of a Clara ``config_train.json`` and ``config_validation.json``."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_monai.folders import LABEL_PATTERN
from mmar_runner_torch.common_schemas import COMMENTS, EPOCHS, NO_EFFECT, VARIABLE, part

#: Metrics of one section: each is a number that leaves the site, once a round.
MOST_METRICS: Final = 100

_SEARCH: Final[dict[str, Any]] = {
    "description": "Of AutoML in older archives, without effect here.",
    "x-idle": "hyperparameters are not searched for: they stay as they are declared",
}
_REF: Final = {"type": "string", "minLength": 1}
_PART: Final[dict[str, Any]] = part(ref=_REF, search=_SEARCH)


def _part(**more: Any) -> dict[str, Any]:
    return part(ref=_REF, **more)


_PARTS: Final[dict[str, Any]] = {"type": "array", "items": _PART}
_DATASET: Final = _part(
    data_list_file_path={
        "description": "The file that lists the site's samples.",
        "type": "string",
        "minLength": 1,
    },
    data_file_base_dir={
        "description": "The folder of the samples; without it that of the list.",
        "type": "string",
    },
    data_list_key={
        "description": "Which list of the file; needed if there is one.",
        "type": "string",
        "minLength": 1,
    },
)
_HANDLERS: Final[dict[str, Any]] = {
    "type": "array",
    "items": _part(
        rank={
            "description": "Of several processes the one that has the handler; without it all.",
            "type": "integer",
            "minimum": 0,
        }
    ),
}
_METRICS: Final[dict[str, Any]] = {
    "type": "array",
    "maxItems": MOST_METRICS,
    "items": _part(
        log_label={
            "description": "The name it is reported under, in place of val_NAME; without a "
            "folder, since files are named after it.",
            "type": "string",
            "minLength": 1,
            "pattern": LABEL_PATTERN,
        },
        is_key_metric={
            "description": "Whether it is the first that is told; the server's handler names the "
            "metric by which the best model is chosen.",
            "type": "boolean",
        },
    ),
}
#: What both sections have.
_SECTION: Final[dict[str, Any]] = {
    "pre_transforms": _PARTS,
    "dataset": _DATASET,
    "dataloader": _PART,
    "inferer": _PART,
    "handlers": _HANDLERS,
    "post_transforms": _PARTS,
    "metrics": _METRICS,
    "search": _SEARCH,
}
_EVALUATOR: Final = {**_PART, "description": "The engine; without it a SupervisedEvaluator."}
_TRAINER: Final = {
    **_PART,
    "description": "The engine; without it a SupervisedTrainer. A round says how long it trains.",
}
_VALIDATE: Final[dict[str, Any]] = {**_SECTION, "evaluator": _EVALUATOR}
_SWITCHES: Final = {
    "amp": {
        "description": "Whether to compute in mixed precision, on CUDA.",
        "type": "boolean",
    },
    "multi_gpu": {
        "description": "Whether a site trains on all its accelerators, if nobody says on how many.",
        "type": "boolean",
    },
    **NO_EFFECT,
}

#: What `MonaiTrainer` reads of config_train.json; other keys are variables.
TRAIN_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["train"],
    "properties": {
        "train": {
            "type": "object",
            "required": ["model", "loss", "optimizer", "dataset"],
            "additionalProperties": False,
            "properties": {
                "loss": _PART,
                "optimizer": _PART,
                "lr_scheduler": _PART,
                "model": _PART,
                **_SECTION,
                "trainer": _TRAINER,
            },
            "patternProperties": COMMENTS,
        },
        "validate": {
            "type": "object",
            "required": ["dataset"],
            "additionalProperties": False,
            "properties": _VALIDATE,
            "patternProperties": COMMENTS,
        },
        "determinism": {"type": "object"},
        "search": _SEARCH,
        "epochs": EPOCHS,
        **_SWITCHES,
    },
    "patternProperties": COMMENTS,
    "additionalProperties": {"type": VARIABLE, "x-known": ["train", "validate", "determinism"]},
}

_FILE_OF_ONE: Final = {"type": "string", "x-idle": "the model that is measured takes its place"}
_MODEL_FILE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "ts_path": _FILE_OF_ONE,
        "ckpt_path": _FILE_OF_ONE,
        "disabled": {"type": "boolean"},
    },
}
#: What `MonaiModelValidator` reads of config_validation.json: a workflow at the top level, or
#: the section of a training file.
VALIDATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "anyOf": [{"required": ["dataset"]}, {"required": ["validate"]}],
    "x-alternatives": {
        "at": "dataset",
        "message": "Nothing says which data a model is measured on.",
        "hint": "Declare 'dataset', with the other parts of the workflow beside it.",
    },
    "properties": {
        "model": {
            "description": "Files of models; the model that is measured takes their place.",
            "type": ["array", "object"],
            "items": _MODEL_FILE,
        },
        **_VALIDATE,
        "validate": {
            "type": "object",
            "required": ["dataset"],
            "additionalProperties": False,
            "properties": _VALIDATE,
            "patternProperties": COMMENTS,
        },
        "determinism": {"type": "object"},
        **_SWITCHES,
    },
    "patternProperties": COMMENTS,
    "additionalProperties": {
        "type": VARIABLE,
        "x-known": ["model", *_VALIDATE, "validate", "determinism"],
    },
}
