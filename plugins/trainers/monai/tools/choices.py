# SPDX-License-Identifier: Apache-2.0
"""Which classes the tables hold, and what is said of their arguments beyond the signatures."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_monai.folders import FILES, PATTERNS, PIECES
from mmar_runner_monai.harmless import PASSED_ON as PASSED_ON_TO_TORCH
from mmar_runner_monai.harmless import READERS, WRITERS
from mmar_runner_monai.names import FETCHED, PERCEPTUAL
from mmar_runner_torch.argument_types import BY_CLASS, NOT_NEGATIVE

#: Data sets that take a list of samples and transforms.
DATASETS: Final = (*("Dataset", "CacheDataset", "PersistentDataset", "SmartCacheDataset"),)
DATALOADERS: Final = ("DataLoader", "ThreadDataLoader")
ENGINES: Final = ("SupervisedTrainer", "SupervisedEvaluator")
INFERERS: Final = (
    *("PatchInferer", "SaliencyInferer", "SimpleInferer", "SliceInferer"),
    *("SlidingWindowInferer", "SlidingWindowInfererAdapt"),
)
#: Metrics of MONAI's handlers, as Clara's lists of metrics name them; their other names.
METRICS: Final[dict[str, tuple[str, ...]]] = {
    "AveragePrecision": (),
    "CalibrationError": (),
    "ConfusionMatrix": (),
    "HausdorffDistance": (),
    "MeanAbsoluteError": (),
    "MeanDice": (),
    "MeanIoUHandler": ("MeanIoU",),
    "MeanSquaredError": (),
    "PanopticQuality": (),
    "PeakSignalToNoiseRatio": (),
    "ROCAUC": (),
    "RootMeanSquaredError": (),
    "SurfaceDistance": (),
}
#: Metrics of Ignite, and the names they have here: what another component of the kind is named
#: has its origin before it.
IGNITE_METRICS: Final[dict[str, str]] = {
    "Accuracy": "IgniteAccuracy",
    "CohenKappa": "CohenKappa",
    "ConfusionMatrix": "IgniteConfusionMatrix",
    "CosineSimilarity": "CosineSimilarity",
    "Entropy": "Entropy",
    "GeometricAverage": "GeometricAverage",
    "MatthewsCorrCoef": "MatthewsCorrCoef",
    "MeanPairwiseDistance": "MeanPairwiseDistance",
    "PSNR": "PSNR",
    "Precision": "Precision",
    "ROC_AUC": "ROC_AUC",
    "Recall": "Recall",
    "SSIM": "SSIM",
    "TopKCategoricalAccuracy": "TopKCategoricalAccuracy",
}
HANDLERS: Final = (
    *("CheckpointLoader", "CheckpointSaver", "ClassificationSaver", "EarlyStopHandler"),
    *("GarbageCollector", "LogfileHandler", "LrScheduleHandler", "MetricsSaver"),
    *("ParamSchedulerHandler", "SmartCacheHandler", "StatsHandler", "TensorBoardImageHandler"),
    *("TensorBoardStatsHandler", "ValidationHandler"),
)
IGNITE_HANDLERS: Final = ("EpochOutputStore",)
OPTIMIZERS: Final = ("Novograd",)
LR_SCHEDULERS: Final = ("WarmupCosineSchedule",)
#: Parts of networks that stand among them.
NO_NETWORKS: Final = frozenset(
    {*PERCEPTUAL, *FETCHED}
    | {"BertAttention", "BertMixedLayer", "BertOutput", "BertPreTrainedModel", "BlockArgs"}
    | {"EfficientNetEncoder", "FlexUNetEncoderRegister", "HighResBlock"}
    | {"PatchMerging", "PatchMergingV2", "Pooler", "ResNetBlock", "ResNetBottleneck"}
    | {"ResNetEncoder", "TopologyConstruction", "TopologyInstance", "TopologySearch"}
)

_SHARE: Final = {"minimum": 0, "maximum": 1}
_COUNT: Final = {"minimum": 1}
#: What holds for an argument of this name wherever it is a number.
LIMITS: Final[dict[str, dict[str, Any]]] = {
    "prob": _SHARE,
    "cache_rate": _SHARE,
    "dropout": _SHARE,
    "dropout_prob": _SHARE,
    "overlap": {"minimum": 0, "exclusiveMaximum": 1},
    "batch_size": _COUNT,
    "sw_batch_size": _COUNT,
    "num_samples": _COUNT,
    "max_epochs": _COUNT,
    "patience": _COUNT,
    "in_channels": _COUNT,
    "out_channels": _COUNT,
    "num_res_units": {"minimum": 0},
    "num_workers": {"minimum": 0, "maximum": 64},
    "spatial_dims": {"minimum": 1, "maximum": 3},
    "smooth_nr": {"minimum": 0},
    "smooth_dr": {"minimum": 0},
}
#: A class of MONAI's own: a dotted name would be imported from wherever it leads.
_NO_PATH: Final = {
    "pattern": "^[^.]*$",
    "description": "the name of one of MONAI's own classes, without a dot",
}
_NEVER: Final = {"const": False}
_NAMED: Final = (*FILES, *PIECES)
_A_NAME: Final = "one name without a folder, with the suffix of a file of data"
_A_FOLDER: Final = "a place below the client's workspace, without '..'"
_NOTHING: Final = {"const": None}
#: What an argument of this name may not do, wherever it stands: look up what a path leads to,
#: fetch weights from the network, compile, or read and write pickles that run.
CLOSED: Final[dict[str, dict[str, Any]]] = {
    **dict.fromkeys(("backbone", "merger_cls"), _NO_PATH),
    **dict.fromkeys(("download", "pretrained", "compile"), _NEVER),
    **dict.fromkeys(("pretrained_url", "pretrained_path", "path_or_repo_id"), _NOTHING),
    "compile_kwargs": _NOTHING,
    "reader": {
        "anyOf": [
            {"enum": [*READERS, None]},
            {"type": "array", "items": {"enum": list(READERS)}},
        ]
    },
    "writer": {"enum": [*WRITERS, None]},
    **{
        name: {
            "type": ["object", "null"],
            "properties": {one: {"type": "boolean"} for one in inside},
            "additionalProperties": False,
        }
        for name, inside in PASSED_ON_TO_TORCH.items()
    },
    "weights_only": {"const": True},
    "pickle_module": {"const": "pickle"},
    **{
        name: {"pattern": pattern, "description": _A_NAME if name in _NAMED else _A_FOLDER}
        for name, pattern in PATTERNS.items()
    },
}
#: Kinds whose functions' results are told, or leave the site.
TOLD: Final = ("metric", "engine_handler")
_REDUCTIONS: Final = ["mean", "sum", "none"]
#: What an argument of this name can be wherever a loss or an inferer has it.
WORDS: Final[dict[tuple[str, str], list[str]]] = {
    ("loss", "reduction"): _REDUCTIONS,
    ("inferer", "mode"): ["constant", "gaussian"],
}
_NAME: Final = {"type": "string"}
_NAMES: Final = {"type": ["array", "object"], "items": _NAME, "additionalProperties": _NAME}
#: What a summary of a metric's details can be made of.
_SUMMARY: Final = {
    "pattern": r"^(\*|mean|median|max|min|std|notnans|(100|[1-9]?[0-9])percentile)$",
    "description": "mean, median, max, min, std, notnans, a percentile such as 90percentile, or * "
    "for all of them",
}
_LOSS: Final = {
    "type": "object",
    "description": "The loss that is computed.",
    "x-component": "loss",
}
#: Arguments that a configuration writes in another way than the constructor takes them.
WRITTEN: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("CheckpointLoader", "load_dict"): _NAMES,
    ("CheckpointSaver", "save_dict"): _NAMES,
    ("DiceCELoss", "weight"): {**BY_CLASS, "default": None},
    **dict.fromkeys(
        ((name, "loss") for name in ("DeepSupervisionLoss", "MaskedLoss", "MultiScaleLoss")), _LOSS
    ),
    ("GeneralizedWassersteinDiceLoss", "dist_matrix"): {
        "type": "array",
        "items": {"type": "array", "items": NOT_NEGATIVE, "minItems": 1},
        "minItems": 1,
    },
    ("MetricsSaver", "summary_ops"): {
        "type": ["string", "array", "null"],
        **_SUMMARY,
        "items": {"type": "string", **_SUMMARY},
        "default": None,
    },
    ("Lambdad", "func"): {
        "type": ["string", "array"],
        "format": "item-function",
        "items": {"type": "string", "format": "item-function"},
    },
}
#: Arguments that a part needs and a function as text cannot be: it would have to do something.
NO_ITEM_FUNCTIONS: Final = frozenset({("ParamSchedulerHandler", "parameter_setter")})
#: What to use in place of a class that needs an object which no JSON value gives, by its name. The
#: script asks for a row here where a signature shows such a class.
INSTEAD: Final[dict[str, str]] = {
    "BatchInverseTransform": "Leave it out: SegmentationSaver resamples to the image's own grid.",
    "Cropd": "Use SpatialCropd, CenterSpatialCropd or CropForegroundd.",
    "Invertd": "Leave it out: SegmentationSaver resamples to the image's own grid.",
    "NetAdapter": "Use TorchVisionFCModel, or declare a class of custom/ by its path.",
    "Padd": "Use SpatialPadd, BorderPadd or DivisiblePadd.",
    "ParamSchedulerHandler": "Declare an lr_scheduler, which LrScheduleHandler steps.",
    "RandCropd": "Use RandSpatialCropd, RandScaleCropd or RandCropByPosNegLabeld.",
    "VISTA3D": "Use SegResNetDS2, or declare a class of custom/ by its path.",
}
_BOOL: Final = {"type": "boolean"}
#: Arguments that a class takes by keyword and passes on, and that are known.
PASSED_ON: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "DataLoader": {
        "batch_size": {"type": "integer", "minimum": 1, "default": 1},
        "shuffle": {**_BOOL, "default": False},
        "drop_last": {**_BOOL, "default": False},
        "pin_memory": {**_BOOL, "default": False},
        "timeout": {"type": "number", "minimum": 0, "default": 0},
        "prefetch_factor": {"type": ["integer", "null"], "minimum": 1},
        "persistent_workers": {**_BOOL, "default": False},
    },
}
PASSED_ON["ThreadDataLoader"] = {
    **PASSED_ON["DataLoader"],
    "num_workers": {"type": "integer", "minimum": 0, "maximum": 64, "default": 0},
}
#: What whoever builds a part gives it, whatever its annotation says.
GIVEN: Final[dict[str, frozenset[str]]] = {
    "dataset": frozenset({"data", "transform"}),
    "dataloader": frozenset({"dataset"}),
    "optimizer": frozenset({"params"}),
    "lr_scheduler": frozenset({"optimizer"}),
    "engine": frozenset(
        {"train_data_loader", "val_data_loader", "network", "optimizer", "loss_function", "device"}
        | {"inferer", "postprocessing", "key_train_metric", "additional_metrics", "train_handlers"}
        | {"key_val_metric", "val_handlers", "prepare_batch", "iteration_update", "metric_cmp_fn"}
        | {"event_names", "event_to_attr", "mode"}
    ),
    "engine_handler": frozenset({"lr_scheduler", "validator", "trainer", "smartcacher"}),
    "metric": frozenset({"device", "required_output_keys"}),
}
