# SPDX-License-Identifier: Apache-2.0
"""The parts that can be named in a training configuration, as a table.

Most targets are torch's own classes; a schema lists those of their arguments that can
be written in JSON and change what is learnt.
"""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_torch.argument_types import (
    BELOW_ONE,
    BY_CLASS,
    COUNT,
    INT,
    NOT_NEGATIVE,
    NUMBER,
    REDUCTION,
    SHARE,
    WIDTH,
    WIDTHS,
    arg,
)
from mmar_runner_torch.parts_optim import OPTIMIZERS, SCHEDULES

_LOSS: Final[dict[str, Any]] = {
    "reduction": arg(REDUCTION, "What is made of the values of a batch.", "mean")
}
_CLASS_WEIGHTS: Final[dict[str, Any]] = {
    "weight": arg(BY_CLASS, "What a sample of each class counts; null for 1.", None)
}
_IGNORED: Final[dict[str, Any]] = arg(INT, "Class number whose samples do not count.", -100)

#: kind, name, target, properties of the arguments, required arguments, summary
PARTS: Final[tuple[tuple[str, str, str, dict[str, Any], list[str], str], ...]] = (
    (
        "model",
        "MLP",
        "mmar_runner_torch.models:MLP",
        {
            "in_features": arg(COUNT, "Length of an input."),
            "out_features": arg(COUNT, "Length of an output; 1 for a single logit."),
            "hidden": arg(WIDTHS, "Widths of the hidden layers.", [16]),
            "dropout": arg(BELOW_ONE, "Share of hidden values dropped while training.", 0.0),
        },
        ["in_features", "out_features"],
        "Fully connected network with ReLU; no hidden layer makes it linear.",
    ),
    (
        "model",
        "SmallConvNet",
        "mmar_runner_torch.models:SmallConvNet",
        {
            "in_channels": arg(COUNT, "Channels of an image.", 1),
            "num_classes": arg(COUNT, "Length of an output.", 10),
            "width": arg(WIDTH, "Channels after the first convolution; then twice as many.", 16),
        },
        [],
        "Two convolutions and a linear layer, for small images of any size.",
    ),
    (
        "loss",
        "CrossEntropyLoss",
        "torch.nn:CrossEntropyLoss",
        {
            **_LOSS,
            **_CLASS_WEIGHTS,
            "label_smoothing": arg(SHARE, "Share of a label that is spread evenly.", 0.0),
            "ignore_index": _IGNORED,
        },
        [],
        "Cross entropy of logits and class numbers.",
    ),
    (
        "loss",
        "BCEWithLogitsLoss",
        "torch.nn:BCEWithLogitsLoss",
        {
            **_LOSS,
            "pos_weight": arg(
                BY_CLASS, "What a positive label counts, by output; null for 1.", None
            ),
        },
        [],
        "Binary cross entropy of logits.",
    ),
    ("loss", "MSELoss", "torch.nn:MSELoss", _LOSS, [], "Mean squared error."),
    ("loss", "L1Loss", "torch.nn:L1Loss", _LOSS, [], "Mean absolute error."),
    (
        "loss",
        "SmoothL1Loss",
        "torch.nn:SmoothL1Loss",
        {**_LOSS, "beta": arg(NOT_NEGATIVE, "The error beyond which it counts linearly.", 1.0)},
        [],
        "Squared error near zero, absolute error beyond beta.",
    ),
    (
        "loss",
        "NLLLoss",
        "torch.nn:NLLLoss",
        {**_LOSS, **_CLASS_WEIGHTS, "ignore_index": _IGNORED},
        [],
        "Negative log likelihood of log probabilities and class numbers.",
    ),
    *OPTIMIZERS,
    *SCHEDULES,
    (
        "metric",
        "Accuracy",
        "mmar_runner_torch.metrics:Accuracy",
        {"threshold": arg(NUMBER, "Above it a single logit means class 1.", 0.0)},
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
