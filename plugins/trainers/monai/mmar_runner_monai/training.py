# SPDX-License-Identifier: Apache-2.0
"""Trains a network as a workflow's train section declares it, on MONAI's trainer."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from monai.engines import IterationEvents

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import tell_nobody
from mmar_runner_monai.attaching import Attached, attached, close_all
from mmar_runner_monai.data import batches_of, composed
from mmar_runner_monai.declared_at import steps_of
from mmar_runner_monai.engines import guard_failures, run
from mmar_runner_monai.measures import metrics_of
from mmar_runner_torch.losses import made_for

if TYPE_CHECKING:
    from torch import nn

    from mmar_runner.interfaces.client_trainer import Progress
    from mmar_runner_monai.evaluation import Evaluation
    from mmar_runner_monai.loading import Batches
    from mmar_runner_monai.parts import Declaration, Parts
    from mmar_runner_torch.order import Position
    from mmar_runner_torch.team import Team

_log = logging.getLogger(__name__)

_WHERE = "train"
#: Where a section declares no trainer; how long a round is, the round says.
_TRAINER = {"name": "SupervisedTrainer", "args": {"max_epochs": 1}}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round is to do.

    Attributes:
        begin: Where the order of batches goes on.
        before: Iterations of the whole run that rounds before this one did.
        iterations: Of this round.
        progress: Hears of every iteration.
    """

    begin: Position
    before: int
    iterations: int
    progress: Progress


@dataclass(slots=True)
class Seen:
    """What a round came to, in this process.

    Attributes:
        iterations: That were done.
        samples: Counted as often as they were seen.
        loss: Summed over them.
    """

    iterations: int = 0
    samples: int = 0
    loss: float = 0.0


class Training:
    """A train section, ready to train one network round after round.

    Args:
        parts: Builds parts.
        section: The section.
        network: What is trained, on its device.
        device: That.
        evaluation: The validation section, for handlers that measure in between; or None.
        team: The processes that train together.
        amp: Whether to compute in mixed precision.

    Attributes:
        engine: MONAI's trainer.
        batches: What it is fed with.
        optimizer: Of the network's parameters.
    """

    def __init__(
        self,
        parts: Parts,
        section: Declaration,
        network: nn.Module,
        device: torch.device,
        *,
        evaluation: Evaluation | None,
        team: Team,
        amp: bool,
    ) -> None:
        self._evaluation = evaluation
        self.batches = batches_of(parts, section, _WHERE, team)
        self.optimizer = parts.build(
            ComponentKind.OPTIMIZER, section["optimizer"], network.parameters()
        )
        schedule = parts.declared(section.get("lr_scheduler"))
        self._schedule: Any = None
        if schedule is not None:
            self._schedule = parts.build(ComponentKind.LR_SCHEDULER, schedule, self.optimizer)
        self._fresh = [
            copy.deepcopy(one.state_dict()) for one in (self.optimizer, self._schedule) if one
        ]
        metrics = metrics_of(parts, section, "train_")
        key = dict(list(metrics.items())[:1])
        inferer = parts.build_if_declared(ComponentKind.INFERER, section.get("inferer"))
        whole, loss = _loss(parts, section, self.batches, team, device)
        self.engine = parts.build(
            ComponentKind.ENGINE,
            parts.declared(section.get("trainer")) or _TRAINER,
            device=device,
            max_epochs=1,
            train_data_loader=self.batches,
            network=network,
            optimizer=self.optimizer,
            loss_function=loss,
            inferer=inferer,
            postprocessing=composed(parts, section, "post_transforms"),
            key_train_metric=key or None,
            additional_metrics={n: m for n, m in metrics.items() if n not in key} or None,
            amp=amp,
        )
        steps = steps_of(parts, section, network, inferer, whole)
        guard_failures(self.engine, _WHERE, steps)
        self._plan = Plan(self.batches.position, 0, 0, tell_nobody)
        self._seen = Seen()
        self._measured: dict[str, float] | None = None
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._attach(parts, section, network, team)

    def _attach(self, parts: Parts, section: Declaration, network: nn.Module, team: Team) -> None:
        self.engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._count)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        objects = {
            "model": network,
            "optimizer": self.optimizer,
            "lr_scheduler": self._schedule,
            "trainer": self.engine,
            "validator": self._evaluation and self._evaluation.engine,
            "smartcacher": self.batches.dataset,
        }
        self._handlers: list[Attached] = attached(
            parts, section, self.engine, objects, where=_WHERE, rank=team.rank
        )
        # The last: what handlers do with an iteration belongs to the round.
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop_in_time)
        self._steps = [one.handler for one in self._handlers if one.name == "LrScheduleHandler"]
        if self._evaluation is not None:
            self._evaluation.engine.add_event_handler(Events.COMPLETED, self._note_measured)
        if self._schedule is not None and not self._steps:
            _log.warning("lr_scheduler has no effect: there is no LrScheduleHandler that steps it")

    def run(self, network: nn.Module, plan: Plan) -> Seen:
        """Train for a round; optimizer and schedule begin as new, the latter where the run is.

        Args:
            network: The network, or what trains it together with other processes.
            plan: What the round is to do.

        Raises:
            TaskFailedError: Something failed, or the loss is not finite.
        """
        self._plan, self._seen = plan, Seen()
        self._total.zero_()
        self.engine.network = network
        self._renew(plan)
        length = len(self.batches)
        state, begin = self.engine.state, plan.begin
        self.batches.position = begin
        state.epoch_length = length
        state.iteration = self._iteration(plan)
        state.epoch = state.iteration // length
        state.max_epochs = math.ceil((state.iteration + plan.iterations) / length)
        self.engine.should_terminate = False  # or Ignite takes the epoch's rest for an epoch
        run(self.engine)
        self.engine.network = getattr(network, "module", network)
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()  # the next round begins anew, and memory is short till then
        self._seen.loss = float(self._total)
        self._require_sound()
        return self._seen

    def still_at(self, plan: Plan) -> None:
        """Say once more how far a round is, while something else is done for it."""
        of_this = self._plan is plan
        plan.progress(self._seen.iterations if of_this else 0, plan.iterations)

    @property
    def epoch(self) -> int:
        """How many epochs of the whole run have been completed."""
        return int(self.engine.state.iteration // len(self.batches))

    def measured(self) -> dict[str, float] | None:
        """Return what a handler measured after the round's last iteration; None if it did not."""
        return self._measured

    def close(self) -> None:
        """Release what handlers hold."""
        close_all(self._handlers)

    def _iteration(self, plan: Plan) -> int:
        """Return how many iterations the engine is to have behind it.

        Its epochs are those of the order of batches; there are as many as in the run so far,
        unless rounds were lost.
        """
        length = len(self.batches)
        return plan.before // length * length + plan.begin.batch

    def _renew(self, plan: Plan) -> None:
        optimizer, *schedule = copy.deepcopy(self._fresh)
        self.optimizer.load_state_dict(optimizer)
        self.optimizer.zero_grad(set_to_none=True)
        if not schedule or not self._steps:
            return
        self._schedule.load_state_dict(schedule[0])
        by_epoch = any(getattr(one, "epoch_level", True) for one in self._steps)
        done = self._iteration(plan)
        with warnings.catch_warnings():
            # Torch warns that no step was taken before: the steps were taken in earlier rounds.
            warnings.simplefilter("ignore", UserWarning)
            for _ in range(done // len(self.batches) if by_epoch else done):
                self._schedule.step()

    def _note_measured(self) -> None:
        self._measured = self._evaluation.found if self._evaluation is not None else None

    def _count(self) -> None:
        """Count a batch once its loss is known."""
        self._measured = None
        if self.batches.size:
            loss = self.engine.state.output["loss"].detach() / self.batches.factor
            self._total += loss * self.batches.size
        self._seen.samples += self.batches.size

    def _advance(self) -> None:
        self.batches.done()
        self._seen.iterations += 1
        self._plan.progress(self._seen.iterations, self._plan.iterations)

    def _stop_in_time(self) -> None:
        """End a round in the middle of an epoch; at an epoch's end the engine ends by itself."""
        if self._seen.iterations >= self._plan.iterations and self.batches.position.batch:
            self.engine.terminate()

    def _require_sound(self) -> None:
        if not math.isfinite(self._seen.loss):
            raise TaskFailedError(
                f"the loss became {self._seen.loss} within {self._seen.iterations} iterations",
                hint="look for NaN in the data, or lower the learning rate",
            )
        if not self._seen.iterations:
            raise TaskFailedError("a handler ended the training before its first iteration")


def _loss(
    parts: Parts, section: Declaration, batches: Batches, team: Team, device: torch.device
) -> tuple[Any, Any]:
    """Build the loss; with several processes, and then also of this process's share of a batch."""
    made = made_for(parts.blueprint(ComponentKind.LOSS, section["loss"]))
    loss = parts.build(ComponentKind.LOSS, section["loss"], **made)
    if isinstance(loss, torch.nn.Module):
        loss = loss.to(device)  # its weights are compared with what is there
    if team.size == 1:
        return loss, loss

    def of_share(outputs: Any, targets: Any) -> Any:
        return loss(outputs, targets).mean() * batches.factor

    return loss, of_share
