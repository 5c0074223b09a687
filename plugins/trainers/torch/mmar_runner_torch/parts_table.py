# SPDX-License-Identifier: Apache-2.0
"""The parts that can be named in a training configuration, as a table.

Most targets are torch's own classes; a schema lists those of their arguments that can
be written in JSON.
"""

from __future__ import annotations

from typing import Any, Final

_BOOL: Final[dict[str, Any]] = {"type": "boolean"}
_INT: Final[dict[str, Any]] = {"type": "integer"}
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 1}
_NUMBER: Final[dict[str, Any]] = {"type": "number"}
_POSITIVE: Final[dict[str, Any]] = {"type": "number", "exclusiveMinimum": 0}
_NOT_NEGATIVE: Final[dict[str, Any]] = {"type": "number", "minimum": 0}
_SHARE: Final[dict[str, Any]] = {"type": "number", "minimum": 0, "maximum": 1}
_DROPOUT: Final[dict[str, Any]] = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
_BETAS: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "minItems": 2,
    "maxItems": 2,
}
_REDUCTION: Final[dict[str, Any]] = {"enum": ["mean", "sum"]}
_LOSS: Final[dict[str, Any]] = {"reduction": _REDUCTION}
_ADAM: Final[dict[str, Any]] = {
    "lr": _POSITIVE,
    "betas": _BETAS,
    "eps": _POSITIVE,
    "weight_decay": _NOT_NEGATIVE,
    "amsgrad": _BOOL,
}

#: kind, name, target, properties of the arguments, required arguments, summary
PARTS: Final[tuple[tuple[str, str, str, dict[str, Any], list[str], str], ...]] = (
    (
        "model",
        "MLP",
        "mmar_runner_torch.models:MLP",
        {
            "in_features": _COUNT,
            "out_features": _COUNT,
            "hidden": {"type": "array", "items": _COUNT, "default": [16]},
            "dropout": {**_DROPOUT, "default": 0.0},
        },
        ["in_features", "out_features"],
        "Fully connected network with ReLU; no hidden layer makes it linear.",
    ),
    (
        "model",
        "SmallConvNet",
        "mmar_runner_torch.models:SmallConvNet",
        {
            "in_channels": {**_COUNT, "default": 1},
            "num_classes": {**_COUNT, "default": 10},
            "width": {**_COUNT, "default": 16},
        },
        [],
        "Two convolutions and a linear layer, for small images of any size.",
    ),
    (
        "loss",
        "CrossEntropyLoss",
        "torch.nn:CrossEntropyLoss",
        {**_LOSS, "label_smoothing": _SHARE, "ignore_index": _INT},
        [],
        "Cross entropy of logits and class numbers.",
    ),
    (
        "loss",
        "BCEWithLogitsLoss",
        "torch.nn:BCEWithLogitsLoss",
        _LOSS,
        [],
        "Binary cross entropy of logits.",
    ),
    ("loss", "MSELoss", "torch.nn:MSELoss", _LOSS, [], "Mean squared error."),
    ("loss", "L1Loss", "torch.nn:L1Loss", _LOSS, [], "Mean absolute error."),
    (
        "loss",
        "SmoothL1Loss",
        "torch.nn:SmoothL1Loss",
        {**_LOSS, "beta": _NOT_NEGATIVE},
        [],
        "Squared error near zero, absolute error beyond beta.",
    ),
    (
        "loss",
        "NLLLoss",
        "torch.nn:NLLLoss",
        {**_LOSS, "ignore_index": _INT},
        [],
        "Negative log likelihood of log probabilities and class numbers.",
    ),
    (
        "optimizer",
        "SGD",
        "torch.optim:SGD",
        {
            "lr": _POSITIVE,
            "momentum": _NOT_NEGATIVE,
            "dampening": _NOT_NEGATIVE,
            "weight_decay": _NOT_NEGATIVE,
            "nesterov": _BOOL,
        },
        [],
        "Stochastic gradient descent, with momentum if asked.",
    ),
    ("optimizer", "Adam", "torch.optim:Adam", _ADAM, [], "Adam (Kingma and Ba 2014)."),
    (
        "optimizer",
        "AdamW",
        "torch.optim:AdamW",
        _ADAM,
        [],
        "Adam with decoupled weight decay (Loshchilov and Hutter 2017).",
    ),
    (
        "optimizer",
        "RMSprop",
        "torch.optim:RMSprop",
        {
            "lr": _POSITIVE,
            "alpha": _SHARE,
            "eps": _POSITIVE,
            "weight_decay": _NOT_NEGATIVE,
            "momentum": _NOT_NEGATIVE,
            "centered": _BOOL,
        },
        [],
        "Gradients divided by a running mean of their size.",
    ),
    (
        "optimizer",
        "Adagrad",
        "torch.optim:Adagrad",
        {
            "lr": _POSITIVE,
            "lr_decay": _NOT_NEGATIVE,
            "eps": _POSITIVE,
            "weight_decay": _NOT_NEGATIVE,
        },
        [],
        "Gradients divided by the root of their summed squares.",
    ),
    (
        "lr_scheduler",
        "StepLR",
        "torch.optim.lr_scheduler:StepLR",
        {"step_size": _COUNT, "gamma": _POSITIVE},
        ["step_size"],
        "The learning rate times gamma, every step_size epochs.",
    ),
    (
        "lr_scheduler",
        "MultiStepLR",
        "torch.optim.lr_scheduler:MultiStepLR",
        {"milestones": {"type": "array", "items": _COUNT}, "gamma": _POSITIVE},
        ["milestones"],
        "The learning rate times gamma, at each milestone.",
    ),
    (
        "lr_scheduler",
        "ExponentialLR",
        "torch.optim.lr_scheduler:ExponentialLR",
        {"gamma": _POSITIVE},
        ["gamma"],
        "The learning rate times gamma, every epoch.",
    ),
    (
        "lr_scheduler",
        "CosineAnnealingLR",
        "torch.optim.lr_scheduler:CosineAnnealingLR",
        {"T_max": _COUNT, "eta_min": _NOT_NEGATIVE},
        ["T_max"],
        "The learning rate along a cosine, from its value to eta_min in T_max epochs.",
    ),
    (
        "lr_scheduler",
        "LinearLR",
        "torch.optim.lr_scheduler:LinearLR",
        {"start_factor": _SHARE, "end_factor": _SHARE, "total_iters": _COUNT},
        [],
        "The learning rate times a factor that changes linearly.",
    ),
    (
        "metric",
        "Accuracy",
        "mmar_runner_torch.metrics:Accuracy",
        {"threshold": {**_NUMBER, "default": 0.0}},
        [],
        "Share of right answers: the largest class, or a single logit over the threshold.",
    ),
    (
        "metric",
        "AUC",
        "mmar_runner_torch.metrics:AUC",
        {},
        [],
        "Area under the ROC curve; with more than two classes, the mean of one against the rest.",
    ),
)

#: Kinds and the dotted prefixes under which any class may be named by its path.
PREFIXES: Final = (
    ("model", "torch.nn."),
    ("loss", "torch.nn."),
    ("optimizer", "torch.optim."),
    ("lr_scheduler", "torch.optim.lr_scheduler."),
)
