# SPDX-License-Identifier: Apache-2.0
"""What the parts state of themselves, so that what cannot work is known before it runs."""

from __future__ import annotations

from typing import Any, Final

_NESTEROV: Final[dict[str, Any]] = {
    "anyOf": [
        {"properties": {"nesterov": {"const": False}}},
        {
            "required": ["momentum"],
            "properties": {"momentum": {"exclusiveMinimum": 0}, "dampening": {"maximum": 0}},
        },
    ],
    "x-alternatives": {
        "at": "nesterov",
        "message": "nesterov needs momentum above 0, and no dampening.",
        "hint": "Give momentum, remove dampening, or write false.",
    },
}

#: Rules on several arguments of a part, by its name: further keywords of the schema.
TOGETHER: Final[dict[str, dict[str, Any]]] = {"SGD": _NESTEROV}

_CLASSES: Final = {"labels": "classes"}
_VALUES: Final = {"labels": "values"}

#: Arguments of MONAI's schedules of the same names, which torch's do not have.
_RANGE_TEST: Final = ["end_lr", "num_iter"]
#: Facts by which network, loss and data are compared: arguments that hold the lengths of an
#: input's dimensions (None for any length), the argument that holds an output's length, and
#: what a loss compares outputs with; and by which networks are, their tensors' shapes.
FITS: Final[dict[str, dict[str, Any]]] = {
    "MLP": {
        "takes": ["in_features"],
        "gives": "out_features",
        # Between two layers stands a ReLU, and a dropout layer if there is any.
        "layers": {
            "lengths": ["in_features", "hidden", "out_features"],
            "step": 2,
            "wider": ["dropout"],
        },
    },
    "SmallConvNet": {
        "takes": ["in_channels", None, None],
        "gives": "num_classes",
        "tensors": {
            "features.0.weight": ["width", "in_channels", 3, 3],
            "features.0.bias": ["width"],
            "features.1.weight": ["width"],
            "features.1.bias": ["width"],
            "features.4.weight": [[2, "width"], "width", 3, 3],
            "features.4.bias": [[2, "width"]],
            "features.5.weight": [[2, "width"]],
            "features.5.bias": [[2, "width"]],
            "classifier.weight": ["num_classes", [8, "width"]],
            "classifier.bias": ["num_classes"],
        },
    },
    "CrossEntropyLoss": _CLASSES,
    "NLLLoss": _CLASSES,
    "BCEWithLogitsLoss": _VALUES,
    "ExponentialLR": {"namesakes": {"monai.optimizers.ExponentialLR": _RANGE_TEST}},
    "LinearLR": {"namesakes": {"monai.optimizers.LinearLR": _RANGE_TEST}},
    "MSELoss": _VALUES,
    "L1Loss": _VALUES,
    "SmoothL1Loss": _VALUES,
}

#: Classes of an allowed package that the training loop cannot use, and why.
UNFIT: Final[dict[str, dict[str, str]]] = {
    "optimizer": {
        "torch.optim.LBFGS": "it needs a closure, which the training loop does not give",
        "torch.optim.SparseAdam": "it takes sparse gradients only",
        "torch.optim.Optimizer": "it is the base class of optimizers",
    },
    "model": {"torch.nn.Module": "it is the base class of networks"},
    "lr_scheduler": {
        "torch.optim.lr_scheduler.ReduceLROnPlateau": "it needs a metric with every step",
        "torch.optim.lr_scheduler.LRScheduler": "it is the base class of schedules",
    },
}
