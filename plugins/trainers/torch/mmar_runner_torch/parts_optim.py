# SPDX-License-Identifier: Apache-2.0
"""Optimizers and learning-rate schedules that can be named, as a table."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_torch.argument_types import (
    BETAS,
    BOOL,
    COUNT,
    COUNTS,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    arg,
)

_DECAY: Final = "Pull of every weight towards zero, as a share of the weight."
_EPS: Final = "Added to the denominator, so that it is never zero."
_MAXIMIZE: Final[dict[str, Any]] = arg(BOOL, "Climb instead of descend.", default=False)
_GAMMA: Final = "Factor on the learning rate."


def _rate(default: float) -> dict[str, Any]:
    return arg(POSITIVE, "Learning rate.", default)


def _adam(weight_decay: float) -> dict[str, Any]:
    return {
        "lr": _rate(0.001),
        "betas": arg(
            BETAS, "Memory of the running means of gradient and squared gradient.", [0.9, 0.999]
        ),
        "eps": arg(POSITIVE, _EPS, 1e-8),
        "weight_decay": arg(NOT_NEGATIVE, _DECAY, weight_decay),
        "amsgrad": arg(BOOL, "Use the largest squared mean so far (AMSGrad).", default=False),
        "maximize": _MAXIMIZE,
    }


#: kind, name, target, properties of the arguments, required arguments, summary
OPTIMIZERS: Final[tuple[tuple[str, str, str, dict[str, Any], list[str], str], ...]] = (
    (
        "optimizer",
        "SGD",
        "torch.optim:SGD",
        {
            "lr": _rate(0.001),
            "momentum": arg(NOT_NEGATIVE, "Share of the last step that is kept.", 0),
            "dampening": arg(NOT_NEGATIVE, "Share of the gradient that momentum leaves out.", 0),
            "weight_decay": arg(NOT_NEGATIVE, _DECAY, 0),
            "nesterov": arg(
                BOOL, "Nesterov momentum; needs momentum and no dampening.", default=False
            ),
            "maximize": _MAXIMIZE,
        },
        [],
        "Stochastic gradient descent, with momentum if asked.",
    ),
    ("optimizer", "Adam", "torch.optim:Adam", _adam(0), [], "Adam (Kingma and Ba 2014)."),
    (
        "optimizer",
        "AdamW",
        "torch.optim:AdamW",
        _adam(0.01),
        [],
        "Adam with decoupled weight decay (Loshchilov and Hutter 2017).",
    ),
    (
        "optimizer",
        "RMSprop",
        "torch.optim:RMSprop",
        {
            "lr": _rate(0.01),
            "alpha": arg(SHARE, "Memory of the running mean of the squared gradient.", 0.99),
            "eps": arg(POSITIVE, _EPS, 1e-8),
            "weight_decay": arg(NOT_NEGATIVE, _DECAY, 0),
            "momentum": arg(NOT_NEGATIVE, "Share of the last step that is kept.", 0),
            "centered": arg(BOOL, "Divide by the estimated variance instead.", default=False),
            "maximize": _MAXIMIZE,
        },
        [],
        "Gradients divided by a running mean of their size.",
    ),
    (
        "optimizer",
        "Adagrad",
        "torch.optim:Adagrad",
        {
            "lr": _rate(0.01),
            "lr_decay": arg(NOT_NEGATIVE, "How fast the learning rate falls with the steps.", 0),
            "eps": arg(POSITIVE, _EPS, 1e-10),
            "weight_decay": arg(NOT_NEGATIVE, _DECAY, 0),
            "initial_accumulator_value": arg(
                NOT_NEGATIVE, "What the sum of squared gradients begins with.", 0
            ),
            "maximize": _MAXIMIZE,
        },
        [],
        "Gradients divided by the root of their summed squares.",
    ),
)

#: The same for schedules; an epoch is a pass over the site's data, counted over all rounds.
SCHEDULES: Final[tuple[tuple[str, str, str, dict[str, Any], list[str], str], ...]] = (
    (
        "lr_scheduler",
        "StepLR",
        "torch.optim.lr_scheduler:StepLR",
        {
            "step_size": arg(COUNT, "Epochs from one change to the next."),
            "gamma": arg(POSITIVE, _GAMMA, 0.1),
        },
        ["step_size"],
        "The learning rate times gamma, every step_size epochs.",
    ),
    (
        "lr_scheduler",
        "MultiStepLR",
        "torch.optim.lr_scheduler:MultiStepLR",
        {
            "milestones": arg(COUNTS, "Epochs at which the rate changes, ascending."),
            "gamma": arg(POSITIVE, _GAMMA, 0.1),
        },
        ["milestones"],
        "The learning rate times gamma, at each milestone.",
    ),
    (
        "lr_scheduler",
        "ExponentialLR",
        "torch.optim.lr_scheduler:ExponentialLR",
        {"gamma": arg(POSITIVE, _GAMMA)},
        ["gamma"],
        "The learning rate times gamma, every epoch.",
    ),
    (
        "lr_scheduler",
        "CosineAnnealingLR",
        "torch.optim.lr_scheduler:CosineAnnealingLR",
        {
            "T_max": arg(COUNT, "Epochs from the first to the lowest rate."),
            "eta_min": arg(NOT_NEGATIVE, "The lowest rate.", 0.0),
        },
        ["T_max"],
        "The learning rate along a cosine, from its value to eta_min in T_max epochs.",
    ),
    (
        "lr_scheduler",
        "LinearLR",
        "torch.optim.lr_scheduler:LinearLR",
        {
            "start_factor": arg(
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "Factor in the first epoch; a third if not given.",
            ),
            "end_factor": arg(SHARE, "Factor once total_iters epochs are done.", 1.0),
            "total_iters": arg(COUNT, "Epochs over which the factor changes.", 5),
        },
        [],
        "The learning rate times a factor that changes linearly.",
    ),
)
