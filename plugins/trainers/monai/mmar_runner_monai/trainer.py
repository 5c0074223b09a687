# SPDX-License-Identifier: Apache-2.0
"""Trains the workflow that a Clara ``config_train.json`` declares."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_monai.engines import keep_to_itself, precision
from mmar_runner_monai.evaluation import Evaluation
from mmar_runner_monai.made_up import MADE_UP_CASES, batch_shape, with_made_up_volumes
from mmar_runner_monai.parts import Parts
from mmar_runner_monai.training import Plan, Training
from mmar_runner_monai.writing import WRITING
from mmar_runner_torch.describing import activation_bytes, optimizer_bytes
from mmar_runner_torch.kept import position_facts, position_in, read_kept, write_kept
from mmar_runner_torch.loop import LocalResult, TorchLoopTrainer
from mmar_runner_torch.order import Position
from mmar_runner_torch.site_tensors import SiteTensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask

_log = logging.getLogger(__name__)


class MonaiTrainer(TorchLoopTrainer):
    """Trains on MONAI's engines what the sections ``train`` and ``validate`` declare.

    Tensors go by their names: what the global model holds and the declared network lacks goes back
    as it came, which is said. The optimizer begins afresh every round; the learning-rate schedule,
    epochs and iterations count on over the run. What becomes of a sample depends on the task's
    seed, the epoch and the sample, and not on how many processes prepare samples.

    Args:
        local_epochs: Passes over the site's data in a round.
        steps_aggregation: Iterations in a round; if positive, goes before epochs.
        send: ``weights`` or ``weight_diff``.
        device: ``auto``, ``cpu`` or ``cuda``.
        exclude_vars: Regular expression of tensor names that the site neither takes nor sends.
        amp: Mixed precision, or None for what ``amp`` of config_train.json says.
        model_reader_writer: Without effect.
    """

    def __init__(
        self,
        local_epochs: int = 1,
        steps_aggregation: int = 0,
        *,
        send: str = "weights",
        device: str = "auto",
        exclude_vars: str | None = None,
        amp: bool | None = None,
        model_reader_writer: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(send=send, device=device, exclude_vars=exclude_vars)
        self.tensors = SiteTensors(exclude_vars, by_name=True)
        self._epochs = local_epochs
        self._steps = steps_aggregation
        self._amp = amp
        if model_reader_writer:
            _log.info("model_reader_writer has no effect: tensors go by their names")

    def build_network(self, context: TrainerContext) -> nn.Module:
        """Build the declared network."""
        config = context.train_config
        missing = [
            key for key in ("model", "loss", "optimizer") if key not in config.get("train", {})
        ]
        if missing:
            raise TaskFailedError(
                f"MonaiTrainer needs a config_train.json whose section 'train' has '{missing[0]}'"
            )
        self._parts = Parts(context, config)
        network: nn.Module = self._parts.build(ComponentKind.MODEL, config["train"]["model"])
        return network

    def declared_network(self, context: TrainerContext) -> nn.Module:
        """Build the declared network, and nothing else."""
        return self.build_network(context)

    def memory(self, network: nn.Module, context: TrainerContext) -> dict[str, int]:
        """Return what a round takes, with the optimizer and the activations of a batch of crops."""
        train = context.train_config["train"]
        optimizer = self._parts.build(
            ComponentKind.OPTIMIZER, train["optimizer"], network.parameters()
        )
        shape = batch_shape(self._parts, train)
        known = {
            "optimizer": optimizer_bytes(optimizer),
            "a batch's activations": activation_bytes(network, shape) if shape else None,
        }
        taken = super().memory(network, context)
        return taken | {name: count for name, count in known.items() if count is not None}

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare for a short round on made-up volumes, which the declared transforms prepare."""
        self._epochs, self._steps = 1, min(self._steps, MADE_UP_CASES)
        self.setup(with_made_up_volumes(context))

    def setup(self, context: TrainerContext) -> None:
        """Build network, data, engines and handlers, once."""
        keep_to_itself()
        super().setup(context)
        config = context.train_config
        wanted = config.get("amp") is True if self._amp is None else self._amp
        amp = precision(wanted=wanted, device=self.device, where="train")
        section = config.get("validate")
        self._evaluation = (
            Evaluation(self._parts, section, self.network, self.device, amp=amp, where="validate")
            if section
            else None
        )
        self._training = Training(
            self._parts,
            config["train"],
            self.network,
            self.device,
            evaluation=self._evaluation,
            team=self.team,
            amp=amp,
        )
        if self._evaluation is not None and self.team.leads:
            self._evaluation.attach_handlers(self._training.engine)
        self._measured: Mapping[str, float] | None = None

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Return what the ``validate`` section asks for; the key metric is the first."""
        del network
        if self._evaluation is None:
            return {}
        known, self._measured = self._measured, None
        return self._evaluation.measure(self._training.epoch) if known is None else known

    def train(self, task: TrainTask) -> Any:
        """Read the global model, validate it, train it, write the update."""
        WRITING.expect(task.update, folder=task.new_state)
        self._measured = None
        self._plan = self._planned(task)
        if self._evaluation is not None:
            self._evaluation.alive = lambda: self._training.still_at(self._plan)
        return super().train(task)

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the metrics of a model file."""
        self._measured = None
        if self._evaluation is not None:
            self._evaluation.alive = lambda: None
        return super().validate(model)

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model that was trained here, by this site's own metrics."""
        WRITING.expect(destination)
        return super().best_model(destination)

    def train_round(self, network: nn.Module, task: TrainTask) -> LocalResult:
        """Train for the round's epochs or iterations."""
        plan = self._plan
        seen = self._training.run(network, plan)
        # What a handler has measured last need not be measured again.
        self._measured = self._training.measured()
        if self._steps and self.team.leads:
            position = self._training.batches.position
            write_kept(task.new_state, {"position": position_facts(position)})
        if seen.iterations < plan.iterations:
            done, planned = seen.iterations, plan.iterations
            _log.warning("a handler ended the round after %d of %d iterations", done, planned)
        samples = seen.samples if self._steps else seen.samples / self._epochs
        loss = {"train_loss": seen.loss / seen.samples} if seen.samples else {}
        return LocalResult(samples, loss)

    def _planned(self, task: TrainTask) -> Plan:
        length = len(self._training.batches)
        iterations = self._steps or self._epochs * length
        begin = Position(task.seed)
        if self._steps:
            begin = position_in(read_kept(task.state), task.seed, length)
        return Plan(begin, task.round * iterations, iterations, task.progress)

    def close(self) -> None:
        """Release what handlers hold, and the other processes."""
        self._training.close()
        if self._evaluation is not None:
            self._evaluation.close()
        super().close()
