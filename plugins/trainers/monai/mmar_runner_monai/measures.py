# SPDX-License-Identifier: Apache-2.0
"""The metrics of a workflow section: built under their labels, read as numbers."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

import torch
from ignite.metrics import Metric

from mmar_runner.errors import ComponentBuildError, TaskFailedError
from mmar_runner.hooks.raised import told
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.declared_at import called
from mmar_runner_monai.engines import UNFIT, lacks_memory
from mmar_runner_monai.folders import require_plain_label
from mmar_runner_monai.parts import name_of
from mmar_runner_monai.workflow_schemas import MOST_METRICS

if TYPE_CHECKING:
    from mmar_runner_monai.parts import Declaration, Parts

_log = logging.getLogger(__name__)

#: What an engine calls of a metric.
_STEPS: Final = ("started", "iteration_completed", "completed")
_HINT: Final = "compare its output_transform and arguments with what post_transforms give"


def metrics_of(parts: Parts, section: Declaration, prefix: str) -> dict[str, Metric]:
    """Build a section's metrics, by label; the key metric is the first.

    Args:
        parts: Builds parts.
        section: ``train`` or ``validate``.
        prefix: Of the label of a metric that has none of its own.

    Raises:
        PluginError: One is missing, cannot be built, or is no metric of an engine.
        TaskFailedError: There are too many, or a label is no plain name.
    """
    declared = [
        (one, called(parts, ComponentKind.METRIC, given))
        for given in section.get("metrics") or ()
        if (one := parts.declared(given)) is not None
    ]
    if len(declared) > MOST_METRICS:
        message = f"there are {len(declared)} metrics, and a site sends at most {MOST_METRICS}"
        raise TaskFailedError(message, hint="declare fewer metrics")
    declared.sort(key=lambda one: one[0].get("is_key_metric") is not True)
    return {_label(one, prefix): _built(parts, one, so) for one, so in declared}


def _label(declaration: Declaration, prefix: str) -> str:
    label = str(declaration.get("log_label") or f"{prefix}{name_of(declaration).lower()}")
    require_plain_label(f"metric '{name_of(declaration)}'", label)
    return label


def _built(parts: Parts, declaration: Declaration, called_so: str) -> Metric:
    try:
        metric = parts.build(ComponentKind.METRIC, declaration)
    except ComponentBuildError as error:
        # It says itself what is wrong; where, it does not know.
        raise ComponentBuildError(f"{called_so}: {error.message}", hint=error.hint) from error
    if not isinstance(metric, Metric):
        raise ComponentBuildError(
            f"{called_so} is a {type(metric).__name__}",
            hint="a metric of an engine derives from ignite.metrics.Metric",
        )
    for step in _STEPS:
        setattr(metric, step, _telling(getattr(metric, step), called_so))
    return metric


def _telling(step: Callable[..., Any], called_so: str) -> Callable[..., Any]:
    """Return a step of a metric, whose failures say which metric it is of."""

    def telling(*args: Any, **kwargs: Any) -> Any:
        try:
            return step(*args, **kwargs)
        except UNFIT as error:
            if lacks_memory(error):
                raise
            raise TaskFailedError(f"{called_so} failed: {told(error)}", hint=_HINT) from error

    # By it Ignite sees what a step takes.
    telling.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]
    return telling


def numbers(metrics: Mapping[str, Any], said: set[str]) -> dict[str, float]:
    """Return those metrics that are finite numbers; of the others it is said once.

    Args:
        metrics: By label, as an engine has them.
        said: Labels of which it was said; labels are added.
    """
    found = {}
    for label, value in metrics.items():
        number = _number(value)
        if number is not None and math.isfinite(number):
            found[label] = number
        elif label not in said:
            said.add(label)
            what = "no number" if number is None else f"{number}"
            _log.warning("%s is left out, it is %s on this data", label, what)
    return found


def _number(value: Any) -> float | None:
    if torch.is_tensor(value):
        return float(value) if value.numel() == 1 else None
    return float(value) if isinstance(value, Real) else None
