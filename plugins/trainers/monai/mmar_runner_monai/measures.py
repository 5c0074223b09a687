# SPDX-License-Identifier: Apache-2.0
"""The metrics of a workflow section: built under their labels, read as numbers."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from ignite.metrics import Metric

from mmar_runner.errors import ComponentBuildError, TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.folders import require_plain_label
from mmar_runner_monai.parts import name_of
from mmar_runner_monai.workflow_schemas import MOST_METRICS

if TYPE_CHECKING:
    from mmar_runner_monai.parts import Declaration, Parts

_log = logging.getLogger(__name__)


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
    declared = parts.all_declared(section.get("metrics"))
    if len(declared) > MOST_METRICS:
        message = f"there are {len(declared)} metrics, and a site sends at most {MOST_METRICS}"
        raise TaskFailedError(message, hint="declare fewer metrics")
    declared.sort(key=lambda one: one.get("is_key_metric") is not True)
    return {_label(one, prefix): _built(parts, one) for one in declared}


def _label(declaration: Declaration, prefix: str) -> str:
    label = str(declaration.get("log_label") or f"{prefix}{name_of(declaration).lower()}")
    require_plain_label(f"metric '{name_of(declaration)}'", label)
    return label


def _built(parts: Parts, declaration: Declaration) -> Metric:
    metric = parts.build(ComponentKind.METRIC, declaration)
    if not isinstance(metric, Metric):
        raise ComponentBuildError(
            f"metric '{name_of(declaration)}' is a {type(metric).__name__}",
            hint="a metric of an engine derives from ignite.metrics.Metric",
        )
    return metric


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
