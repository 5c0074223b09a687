# SPDX-License-Identifier: Apache-2.0
"""Measuring a network on held-out data, as a configuration declares it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mmar_runner.errors import ComponentBuildError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_torch.batches import loader, matched, pair_of
from mmar_runner_torch.fitting import loss_of, outputs_of
from mmar_runner_torch.losses import built_loss
from mmar_runner_torch.metrics import Metric

if TYPE_CHECKING:
    from torch import nn

    from mmar_runner.interfaces.client_trainer import TrainerContext

_log = logging.getLogger(__name__)

#: Held-out data is measured in batches of this size unless the configuration says so.
BATCH = 256


class Measuring:
    """The data, the loss and the metrics of a ``validate`` section.

    Args:
        context: Builds the parts.
        validate: The section: ``dataset``, ``dataloader``, ``metrics``.
        loss: The declaration of the loss, or None to report none.
    """

    def __init__(
        self,
        context: TrainerContext,
        validate: Mapping[str, Any],
        loss: Mapping[str, Any] | None,
    ) -> None:
        dataset = context.blueprint(ComponentKind.DATASET, validate["dataset"]).build()
        self._batches = loader(dataset, validate.get("dataloader", {}), 0, batch_size=BATCH)
        self._loss = built_loss(context.blueprint(ComponentKind.LOSS, loss)) if loss else None
        declared = [m for m in validate.get("metrics", []) if not m.get("disabled")]
        # The key metric first: by the first one a site chooses its best local model.
        declared.sort(key=lambda metric: not metric.get("is_key_metric"))
        self._metrics = dict(_metric(context, declaration) for declaration in declared)
        self._undefined: set[str] = set()

    def measure(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Return ``val_loss`` and every metric that is defined on this data.

        Args:
            network: In evaluation mode, on the device.
            device: Where to compute.
        """
        for metric in self._metrics.values():
            metric.reset()
        if isinstance(self._loss, torch.nn.Module):
            self._loss.to(device)
        loss_sum, seen = 0.0, 0
        with torch.no_grad():
            for batch in self._batches:
                inputs, targets = pair_of(batch, device)
                outputs, targets = matched(outputs_of(network, inputs), targets)
                if self._loss is not None:
                    loss_sum += float(loss_of(self._loss, outputs, targets)) * len(inputs)
                seen += len(inputs)
                for metric in self._metrics.values():
                    metric.update(outputs.cpu(), targets.cpu())
        values = {label: metric.compute() for label, metric in self._metrics.items()}
        if self._loss is not None and seen:
            values["val_loss"] = loss_sum / seen
        self._say_undefined({label for label, value in values.items() if value is None})
        return {label: value for label, value in values.items() if value is not None}

    def _say_undefined(self, labels: set[str]) -> None:
        """Say once of every metric that is left out what it needs: its number is missed."""
        for label in sorted(labels - self._undefined):
            needs = self._metrics[label].needs
            _log.warning(
                "%s is left out, it is not defined on this data: it needs %s", label, needs
            )
        self._undefined |= labels


def _metric(context: TrainerContext, declaration: Mapping[str, Any]) -> tuple[str, Metric]:
    blueprint = context.blueprint(ComponentKind.METRIC, declaration)
    metric = blueprint.build()
    if not isinstance(metric, Metric):
        raise ComponentBuildError(
            f"metric {blueprint.name!r} is a {type(metric).__name__}",
            hint="derive the class from mmar_runner_torch.metrics.Metric",
        )
    name = blueprint.name.rpartition(".")[2].lower()
    return declaration.get("log_label", f"val_{name}"), metric
