# SPDX-License-Identifier: Apache-2.0
"""What trainers and validators give back: checked in the child, and again by its parent.

The child checks what a component returns, so that the component is named; the parent checks
what comes out of the socket, since user code in the child may write there whatever it likes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmar_runner.children.messages import is_name
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainResult


def checked_result(result: object) -> dict[str, Any]:
    """Return a trainer's result as JSON.

    Raises:
        TaskFailedError: It is no `TrainResult`, ``num_samples`` is not positive and
            finite, or a metric is not a finite number.
    """
    if not isinstance(result, TrainResult):
        message = f"train returned a {type(result).__name__}, not a TrainResult"
        raise TaskFailedError(message)
    samples = _number("num_samples", result.num_samples)
    if samples <= 0:
        raise TaskFailedError(f"num_samples is {samples:g}; it must be positive")
    return {
        "num_samples": samples,
        "metrics": checked_metrics("metric", result.metrics),
        "validation": checked_metrics("validation metric", result.validation),
        "kind": str(UpdateKind(result.kind)),
    }


def checked_metrics(what: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics as finite floats.

    Raises:
        TaskFailedError: One is not a finite number; the message names it.
    """
    return {str(name): _number(f"{what} {name!r}", value) for name, value in metrics.items()}


def read_result(answer: Mapping[str, Any]) -> TrainResult:
    """Return the trainer's result that a child's answer stands for.

    Raises:
        TaskFailedError: The answer is not what `checked_result` gives.
    """
    kind = answer.get("kind")
    if not isinstance(kind, str) or kind not in set(UpdateKind):
        raise TaskFailedError(f"the child answered with an update of the kind {kind!a}")
    result = TrainResult(
        num_samples=_plain_number("num_samples", answer.get("num_samples")),
        metrics=read_metrics(answer),
        validation=read_metrics(answer, "validation"),
        kind=UpdateKind(kind),
    )
    checked_result(result)
    return result


def read_metrics(answer: Mapping[str, Any], key: str = "metrics") -> dict[str, float]:
    """Return the metrics that a child's answer holds.

    Args:
        answer: What the child said.
        key: Under which name they stand there.

    Raises:
        TaskFailedError: There are none, a name cannot be sent, or a value is not finite.
    """
    metrics = answer.get(key)
    if not isinstance(metrics, dict) or not all(map(is_name, metrics)):
        raise TaskFailedError(f"the child answered with {key} that are no metrics by name")
    return {name: _plain_number(f"metric {name!r}", value) for name, value in metrics.items()}


def _plain_number(name: str, value: object) -> float:
    """Return a number that JSON has as one, and neither text nor true."""
    if type(value) not in {int, float}:
        raise TaskFailedError(f"the child answered with {name} that is no number")
    return _number(name, value)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TaskFailedError(f"{name} is {value!r}, which is not a number") from error
    except OverflowError as error:
        raise TaskFailedError(f"{name} is too large a number") from error
    if not math.isfinite(number):
        hint = "look for NaN in the data, or lower the learning rate"
        raise TaskFailedError(f"{name} is {number}, which is not finite", hint=hint)
    return number
