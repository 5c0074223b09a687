# SPDX-License-Identifier: Apache-2.0
"""What MONAI called otherwise since 0.4, as data that the tables carry.

A rule is applied to the arguments as they are declared, before they are compared with what
the class takes today: ``rename``; ``into``/``from``/``when``, a number in place of a switch
and the number beside it; ``drop``, always or where the value ``is`` one that changes
nothing; ``set``, where nothing is declared. It is kept only where it can matter: where a
class has the new argument and not the old one.
"""

from __future__ import annotations

from typing import Any, Final

from choices import CLOSED
from words import interpolation, padding

from mmar_runner.documents.item_functions import MOST_POSITIONS
from mmar_runner_monai.functions import TOLD_POSITIONS

#: Older and present names of arguments by kind, with what is said of it.
RENAMED: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("model", "dimensions", "spatial_dims", "since MONAI 0.6"),
    ("model", "n_classes", "num_classes", "since MONAI 0.7"),
    ("model", "pos_embed", "proj_type", "since MONAI 1.3"),
    ("loss", "ndim", "spatial_dims", "since MONAI 0.6"),
    ("loss", "ce_weight", "weight", "since MONAI 1.2"),
    ("loss", "focal_weight", "weight", "since MONAI 1.2"),
    ("loss", "do_sigmoid", "sigmoid", "since MONAI 0.3"),
    ("loss", "do_softmax", "softmax", "since MONAI 0.3"),
    ("transform", "do_sigmoid", "sigmoid", "since MONAI 0.3"),
    ("transform", "do_softmax", "softmax", "since MONAI 0.3"),
    ("transform", "overwriting_keys", "overwriting", "since MONAI 0.4"),
    ("transform", "global_prob", "prob", "since MONAI 0.9"),
    ("engine_handler", "iteration_interval", "iteration_log", "since MONAI 1.1"),
    ("engine_handler", "epoch_interval", "epoch_log", "since MONAI 1.1"),
)
#: Of these renames, those that hold for some classes only.
ONLY: Final[dict[str, tuple[str, ...]]] = {
    "global_prob": ("RandKSpaceSpikeNoise",),
    "ce_weight": ("DiceCELoss",),
    "focal_weight": ("DiceFocalLoss", "GeneralizedDiceFocalLoss"),
    "iteration_interval": ("TensorBoardStatsHandler",),
    "epoch_interval": ("TensorBoardStatsHandler",),
}
_DONE_BY: Final = "post_transforms do it; this is what the metric did without it"
_OFF: Final = [False, None]
_TRAVELS: Final = "what is known of an image travels with it since MONAI 0.9"
_KIND_OF_IMAGE: Final = "what goes in decides what comes out since MONAI 0.9"
_DEVICE: Final = "the trainer says where to compute"
_LOG: Final = "log.config configures the log"
_GRIDS: Final = (
    *("Affine", "AffineGrid", "RandAffine", "RandAffineGrid", "RandDeformGrid"),
    *("Rand2DElastic", "Rand3DElastic", "GibbsNoise", "RandGibbsNoise"),
    *("KSpaceSpikeNoise", "RandKSpaceSpikeNoise"),
)
_SPATIAL: Final = ("Spacing", "Orientation", "EnsureChannelFirst", "SpatialResample")
#: Arguments that are gone: kind, names, values that changed nothing (None for any), a note, and
#: the classes that had them.
DROPPED: Final[
    tuple[tuple[str, tuple[str, ...], list[Any] | None, str, tuple[str, ...] | None], ...]
] = (
    ("transform", ("meta_keys", "meta_key_postfix", "image_only"), None, _TRAVELS, _SPATIAL),
    (
        *("transform", ("meta_keys", "meta_key_postfix"), None, _TRAVELS),
        ("ResampleToMatch", "ShiftIntensity", "RandShiftIntensity"),
    ),
    ("transform", ("as_tensor_output", "image_only"), None, _KIND_OF_IMAGE, _GRIDS),
    ("transform", ("logger_handler",), None, _LOG, ("DataStats",)),
    (
        *("transform", ("common_seed", "common_sampling"), None, "since MONAI 0.9"),
        ("RandKSpaceSpikeNoise",),
    ),
    ("transform", ("center_coord_key",), None, "since MONAI 0.9", ("RandWeightedCrop",)),
    ("engine_handler", ("logger_handler",), None, _LOG, ("StatsHandler",)),
    ("engine_handler", ("device",), None, _DEVICE, ("MetricsSaver",)),
    ("metric", ("device",), None, _DEVICE, None),
    ("metric", ("to_onehot_y", "mutually_exclusive", "sigmoid"), _OFF, _DONE_BY, ("MeanDice",)),
    ("metric", ("to_onehot_y", "softmax", "other_act"), _OFF, _DONE_BY, ("ROCAUC",)),
    (
        *("metric", ("to_onehot_y", "activation", "bin_mode"), _OFF, _DONE_BY),
        ("ConfusionMatrix",),
    ),
    (
        *("metric", ("logit_thresh", "bin_threshold"), [0.5, [0.5], None]),
        "post_transforms do it; 0.5 was its default",
        ("MeanDice", "ConfusionMatrix"),
    ),
    (
        *("loss", ("in_channels",), None, "since MONAI 0.6"),
        ("LocalNormalizedCrossCorrelationLoss",),
    ),
    ("loss", ("batch_size", "reduction"), None, "since MONAI 0.8", ("ContrastiveLoss",)),
    ("model", ("img_size",), None, "since MONAI 1.5 it takes any size", ("SwinUNETR",)),
    (
        *(
            "model",
            ("pool_size", "pool_stride"),
            None,
            "since MONAI 0.7 there is one argument, pool",
        ),
        ("TorchVisionFCModel",),
    ),
)
#: Functions whose text is refused and that say no more than the default does.
DEFAULT_FUNCTIONS: Final[dict[str, list[str]]] = {
    "select_fn": ["lambda x: x > 0", "lambda x: x>0", "lambda x : x > 0"],
}
_SWITCHES: Final = (
    ("to_onehot", "n_classes", None, "since MONAI 0.7"),
    ("to_onehot", "num_classes", None, "since MONAI 0.8"),
    ("threshold", "logit_thresh", 0.5, "since MONAI 0.7"),
)


def upgrades_of(
    kind: str, name: str, properties: dict[str, Any], *, is_open: bool
) -> list[dict[str, Any]]:
    """Return the rules for a class.

    Args:
        kind: What it is.
        name: Its name.
        properties: What it takes today.
        is_open: Whether it takes any argument, so that none is gone.
    """
    rules = [*_switched(kind, properties), *_renamed(kind, name, properties)]
    return [*rules, *(() if is_open else _dropped(kind, name, properties)), *_functions(properties)]


def _switched(kind: str, properties: dict[str, Any]) -> list[dict[str, Any]]:
    if kind != "transform":
        return []
    rules: list[dict[str, Any]] = []
    if "threshold" in properties and "to_onehot" in properties:
        rename = {"threshold_values": "threshold"}
        rules.append({"rename": rename, "note": "since MONAI 0.7"})
        for into, number, otherwise, note in _SWITCHES:
            rule = {"into": into, "from": number, "when": True, "note": note}
            rules.append(rule if otherwise is None else {**rule, "or": otherwise})
    return rules


def _renamed(kind: str, name: str, properties: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"rename": {old: new}, "note": note}
        for of, old, new, note in RENAMED
        if of == kind
        and new in properties
        and old not in properties
        and _concerns(name, ONLY.get(old))
    ]


def _dropped(kind: str, name: str, properties: dict[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for of, names, values, note, classes in DROPPED:
        gone = [n for n in names if n not in properties]
        if of == kind and gone and _concerns(name, classes):
            rule = {"drop": gone, "note": note}
            rules.append(rule if values is None else {**rule, "is": values})
    return rules


def _functions(properties: dict[str, Any]) -> list[dict[str, Any]]:
    note = "this is what it does by itself"
    return [
        {"drop": [name], "is": texts, "note": note}
        for name, texts in DEFAULT_FUNCTIONS.items()
        if name in properties
    ]


def _concerns(name: str, classes: tuple[str, ...] | None) -> bool:
    return classes is None or name in classes or name.removesuffix("d") in classes


_FIRST: Final = "since MONAI 0.9"
_READ: Final = "since MONAI 0.4 one transform reads every format"


def _older(
    name: str, becomes: str, rules: list[dict[str, Any]], where: str
) -> list[tuple[str, str, str, list[dict[str, Any]], list[str]]]:
    """Return a transform of before in its two forms, for arrays and for dictionaries."""
    made = []
    for suffix, module in (("", "array"), ("d", "dictionary")):
        own = f"{name}{suffix}"
        paths = [f"monai.transforms.{where}.{module}.{own}", f"monai.transforms.{own}"]
        made.append(("transform", own, f"{becomes}{suffix}", rules, paths))
    return made


#: Classes that another one took the place of: kind, name, the other's name, rules for its
#: arguments, its class paths.
OLDER_CLASSES: Final[list[tuple[str, str, str, list[dict[str, Any]], list[str]]]] = [
    *_older(
        "AddChannel",
        "EnsureChannelFirst",
        [{"set": {"channel_dim": "no_channel"}, "note": _FIRST}],
        "utility",
    ),
    *_older(
        "AsChannelFirst",
        "EnsureChannelFirst",
        [{"set": {"channel_dim": -1}, "note": _FIRST}],
        "utility",
    ),
    *_older(
        "SplitChannel",
        "SplitDim",
        [{"rename": {"channel_dim": "dim"}, "note": "since MONAI 0.9"}],
        "utility",
    ),
    *_older("LoadNifti", "LoadImage", [{"set": {"reader": "NibabelReader"}, "note": _READ}], "io"),
    *_older("LoadPNG", "LoadImage", [{"set": {"reader": "PILReader"}, "note": _READ}], "io"),
    *_older("LoadNumpy", "LoadImage", [{"set": {"reader": "NumpyReader"}, "note": _READ}], "io"),
    (
        *("model", "TorchVisionFullyConvModel", "TorchVisionFCModel"),
        [{"rename": {"n_classes": "num_classes"}, "note": "since MONAI 0.7"}],
        ["monai.networks.nets.TorchVisionFullyConvModel"],
    ),
]

_TEXT: Final = {"type": "string"}
_FUNCTION: Final = {"type": "string", "format": "item-function", MOST_POSITIONS: TOLD_POSITIONS}
_FOLDER: Final = {**_TEXT, **CLOSED["output_dir"]}
#: Components of this distribution's own, for names that MONAI has no class for any more, or whose
#: class cannot be attached to an engine.
OWN: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "engine_handler": {
        "TerminateOnNan": {
            "target": "mmar_runner_monai.stopping:TerminateOnNan",
            "summary": "Ends a round once a value is not finite.",
            "required": [],
            "properties": {"output_transform": _FUNCTION},
        },
        "TimeLimit": {
            "target": "mmar_runner_monai.stopping:TimeLimit",
            "summary": "Ends a round that takes too long.",
            "required": [],
            "properties": {"limit_sec": {"type": "integer", "minimum": 1, "default": 28800}},
        },
        "SegmentationSaver": {
            "target": "mmar_runner_monai.segmentation_saver:SegmentationSaver",
            "paths": [
                "monai.handlers.SegmentationSaver",
                "monai.handlers.segmentation_saver.SegmentationSaver",
            ],
            "summary": "Writes what a network gives for each sample as an image of the site.",
            "required": ["output_dir"],
            "properties": {
                "output_dir": _FOLDER,
                "output_postfix": {**_TEXT, **CLOSED["output_postfix"], "default": "seg"},
                "output_ext": {**_TEXT, **CLOSED["output_ext"], "default": ".nii.gz"},
                "resample": {"type": "boolean", "default": True},
                "mode": {"enum": interpolation(), "default": "nearest"},
                "padding_mode": {"enum": padding(), "default": "border"},
                "scale": {"type": ["integer", "null"], "enum": [255, 65535, None], "default": None},
                "dtype": {**_TEXT, "default": "float64"},
                "output_dtype": {**_TEXT, "default": "float32"},
                "squeeze_end_dims": {"type": "boolean", "default": True},
                "data_root_dir": {**_TEXT, "default": ""},
                "separate_folder": {"type": "boolean", "default": True},
                "batch_transform": _FUNCTION,
                "output_transform": _FUNCTION,
                "name": {"type": ["string", "null"], "default": None},
            },
        },
    }
}
