# SPDX-License-Identifier: Apache-2.0
"""Measures a network as a workflow's validation section declares it, on MONAI's evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ignite.engine import Events

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.attaching import Attached, attached, close_all
from mmar_runner_monai.data import batches_of, composed
from mmar_runner_monai.declared_at import steps_of
from mmar_runner_monai.engines import guard_failures, run
from mmar_runner_monai.measures import metrics_of, numbers
from mmar_runner_torch.order import Position
from mmar_runner_torch.team import Team

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mmar_runner_monai.parts import Declaration, Parts

#: Where a section declares no evaluator.
_EVALUATOR = {"name": "SupervisedEvaluator"}


class Evaluation:
    """A validation section, ready to measure one network again and again.

    Args:
        parts: Builds parts.
        section: The section.
        network: What is measured, on its device.
        device: That.
        amp: Whether to compute in mixed precision.
        where: What the section is called in messages.

    Attributes:
        engine: MONAI's evaluator.
        found: What the last measurement came to.
        alive: Called after every batch: measuring may take longer than a site waits for a step.
    """

    def __init__(
        self,
        parts: Parts,
        section: Declaration,
        network: nn.Module,
        device: torch.device,
        *,
        amp: bool,
        where: str,
    ) -> None:
        self.found: dict[str, float] = {}
        self.alive: Callable[[], None] = lambda: None
        self._where = where
        self._said: set[str] = set()
        self._handlers: list[Attached] = []
        self._batches = batches_of(parts, section, where, Team())
        metrics = metrics_of(parts, section, "val_")
        key = dict(list(metrics.items())[:1])
        inferer = parts.build_if_declared(ComponentKind.INFERER, section.get("inferer"))
        self.engine = parts.build(
            ComponentKind.ENGINE,
            parts.declared(section.get("evaluator")) or _EVALUATOR,
            device=device,
            val_data_loader=self._batches,
            network=network,
            inferer=inferer,
            postprocessing=composed(parts, section, "post_transforms"),
            key_val_metric=key or None,
            additional_metrics={n: m for n, m in metrics.items() if n not in key} or None,
            amp=amp,
        )
        guard_failures(self.engine, where, steps_of(parts, section, network, inferer))
        self.engine.add_event_handler(Events.STARTED, self._begin)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        self.engine.add_event_handler(Events.COMPLETED, self._read)
        self._parts, self._section, self._network = parts, section, network

    def attach_handlers(self, trainer: Any = None) -> None:
        """Attach the section's handlers.

        Args:
            trainer: The engine that trains what is measured, for handlers that look at it.

        Raises:
            PluginError, TaskFailedError: One of them cannot be built or attached.
        """
        objects = {"model": self._network, "trainer": trainer}
        self._handlers = attached(
            self._parts, self._section, self.engine, objects, where=self._where, rank=0
        )

    def measure(self, epoch: int) -> dict[str, float]:
        """Return the metrics of the network as it is: the key metric is the first.

        Args:
            epoch: How far its training is, for handlers that write it down; from 1.

        Raises:
            TaskFailedError: Data, network and transforms do not fit each other, or a handler
                failed.
        """
        run(self.engine, max(epoch, 1))
        return self.found

    def close(self) -> None:
        """Release what handlers hold."""
        close_all(self._handlers)

    def _begin(self) -> None:
        self.found = {}  # a run that fails leaves none of an earlier one
        self._batches.position = Position(0)

    def _advance(self) -> None:
        self._batches.done()
        self.alive()

    def _read(self) -> None:
        self.found = numbers(self.engine.state.metrics, self._said)
