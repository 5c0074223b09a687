# SPDX-License-Identifier: Apache-2.0
"""Trains what ``config_train.json`` declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner_torch.batches import loader
from mmar_runner_torch.describing import activation_bytes, optimizer_bytes
from mmar_runner_torch.fitting import require_finite
from mmar_runner_torch.kept import position_facts, position_in, read_kept, write_kept
from mmar_runner_torch.local_round import LocalRound
from mmar_runner_torch.loop import LocalResult, TorchLoopTrainer
from mmar_runner_torch.losses import built_loss
from mmar_runner_torch.measuring import Measuring
from mmar_runner_torch.optimization import optimization
from mmar_runner_torch.order import Order
from mmar_runner_torch.private import DpSgd
from mmar_runner_torch.proximal import Proximal
from mmar_runner_torch.scaffold import ControlVariates, require_sgd
from mmar_runner_torch.stepping import Correction, Stepper
from mmar_runner_torch.synthetic import BATCHES, batch_of, with_synthetic_data, yields_of
from mmar_runner_torch.together import require_together

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader

    from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
    from mmar_runner_torch.poisson import PoissonOrder


class TorchTrainer(TorchLoopTrainer):
    """Supervised training, from a model, a loss, an optimizer and a data set by name.

    The optimizer begins afresh every round, since the model it belonged to was replaced.
    The learning-rate schedule counts the epochs of the whole run, not of the round. With
    ``steps_aggregation`` the data order goes on where the last acknowledged round stopped;
    with epochs every round draws it anew. Several processes divide every batch among them, so
    that they learn what one would.

    Args:
        local_epochs: Passes over the site's data in a round.
        steps_aggregation: Optimizer steps in a round; if positive, goes before epochs.
        send: ``weights`` or ``weight_diff``.
        device: ``auto``, ``cpu`` or ``cuda``.
        exclude_vars: Regular expression of tensor names that the site neither takes nor sends.
        accumulate_steps: Batches whose gradients make one optimizer step.
        amp: Mixed precision, or None for what ``amp`` of config_train.json says.
        fedprox_mu: FedProx's pull towards the round's global model; 0 for none.
        algorithm: ``fedavg`` for steps along the loss, or ``scaffold``.
        dp: DP-SGD: ``max_grad_norm``, ``noise_multiplier``, ``delta``, and maybe
            ``max_epsilon``; or None.

    Raises:
        ComponentBuildError: Arguments exclude each other.
    """

    def __init__(
        self,
        local_epochs: int = 1,
        steps_aggregation: int = 0,
        *,
        send: str = "weights",
        device: str = "auto",
        exclude_vars: str | None = None,
        accumulate_steps: int = 1,
        amp: bool | None = None,
        fedprox_mu: float = 0.0,
        algorithm: str = "fedavg",
        dp: Mapping[str, Any] | None = None,
    ) -> None:
        if algorithm != "fedavg" or dp is not None:
            given = {"send": send, "accumulate_steps": accumulate_steps, "amp": amp}
            require_together({**given, "fedprox_mu": fedprox_mu, "algorithm": algorithm, "dp": dp})
        super().__init__(send=send, device=device, exclude_vars=exclude_vars)
        self._epochs = local_epochs
        self._steps = steps_aggregation
        self._accumulate = accumulate_steps
        self._amp = amp
        self._mu = fedprox_mu
        self._scaffold = algorithm == "scaffold"
        self._dp = dp
        self._private: DpSgd | None = None

    def declared_network(self, context: TrainerContext) -> nn.Module | None:
        """Build the network that the ``train`` section declares; None if there is no section."""
        declared = context.train_config.get("train", {}).get("model")
        if declared is None:
            return None
        network: nn.Module = context.blueprint(ComponentKind.MODEL, declared).build()
        return network

    def memory(self, network: nn.Module, context: TrainerContext) -> dict[str, int]:
        """Return what a round takes, with optimizer, control variates and a batch's activations."""
        taken = super().memory(network, context)
        train = context.train_config["train"]
        batch = batch_of(context)
        data = yields_of(context.blueprint(ComponentKind.DATASET, train["dataset"]))
        activations = activation_bytes(network, (batch, *data[0])) if data else None
        kept = optimizer_bytes(optimization(context, train, network, 0)[0])
        known = {"optimizer": kept, "a batch's activations": activations}
        taken |= {name: count for name, count in known.items() if count is not None}
        if self._scaffold:  # received, the site's own, and sent
            taken["control variates"] = 3 * taken["gradients"]
        if self._dp is not None:  # a gradient for every sample
            taken["gradients"] *= batch
        return taken

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare for a short round on made-up data; whatever privacy is left may be spent."""
        self._epochs, self._steps = 1, min(self._steps, BATCHES)
        self._dp = None if self._dp is None else {**self._dp, "max_epsilon": None}
        self.setup(with_synthetic_data(context))

    def build_network(self, context: TrainerContext) -> nn.Module:
        """Build the declared network, data, loss and metrics."""
        if "train" not in context.train_config:
            raise TaskFailedError("TorchTrainer needs a config_train.json with a 'train' section")
        self._train: Mapping[str, Any] = context.train_config["train"]
        if self._amp is None:
            self._amp = context.train_config.get("amp") is True and self._dp is None
        self._dataset = self._built(ComponentKind.DATASET)
        declared = context.blueprint(ComponentKind.LOSS, self._train["loss"])
        self._loss = built_loss(declared, self.device)
        validate = context.train_config.get("validate")
        self._measuring = Measuring(context, validate, self._train["loss"]) if validate else None
        network: nn.Module = self._built(ComponentKind.MODEL)
        # So that a wrong argument is found now, not in round 1.
        optimizer, _ = optimization(context, self._train, network, 0)
        if self._scaffold:
            require_sgd(optimizer)
        if self._dp is not None:
            self._private = DpSgd(self._dp, context.workspace, context.processes)
            self._private.require_fit(network, self._loss)
        return network

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Return what the ``validate`` section asks for."""
        if self._measuring is None:
            return {}
        return self._measuring.measure(network, self.device)

    def train_round(self, network: nn.Module, task: TrainTask) -> LocalResult:
        """Train for the round's epochs or steps."""
        batches = self._batches(task.seed)
        if not len(batches):
            raise TaskFailedError(f"{len(self._dataset)} samples make no batch with drop_last")
        if self._private is not None:
            return self._train_privately(self._private, network, task)
        kept = read_kept(task.state)
        position = position_in(kept if self._steps else {}, task.seed, len(batches))
        order = Order(batches, self.team, position, self._accumulate)
        optimizer, after_step = self._optimization(network, task, order)
        corrections, amp = self._corrections(task), bool(self._amp)
        scale = kept.get("scale")
        stepper = Stepper(network, optimizer, corrections, self.device, amp=amp, scale=scale)
        local = LocalRound(order, stepper, self._loss, self.device, after_step)
        seen = local.run(self._planned(order))
        require_finite(seen.loss, batches, self._planned(order))
        self._finish(corrections, task)
        if self.team.leads:
            left = {"scale": stepper.scale} if stepper.scale else {}
            if self._steps:
                left["position"] = position_facts(order.position)
            write_kept(task.new_state, left)
        # With whole epochs every sample counts once, however often it was seen.
        samples = seen.samples if self._steps else seen.samples / self._epochs
        loss = {"train_loss": seen.loss / seen.samples} if seen.samples else {}
        return LocalResult(samples, loss)

    def _train_privately(self, dp: DpSgd, network: nn.Module, task: TrainTask) -> LocalResult:
        order = dp.order(self._dataset, self._train.get("dataloader", {}))
        planned = self._planned(order)
        epsilon = dp.spend(order, planned, task.num_rounds - task.round)
        optimizer, after_step = self._optimization(network, task, order)
        corrections = self._corrections(task)
        with dp.stepper(network, optimizer, corrections, order.batch, self._loss) as stepper:
            local = LocalRound(order, stepper, self._loss, self.device, after_step)
            seen = local.run(planned)
        require_finite(seen.loss, self._batches(task.seed), planned)
        self._finish(corrections, task)
        # Neither the loss nor how many samples chance drew leaves: both tell of the data.
        passes = planned / order.steps if self._steps else 1
        return LocalResult(order.samples * passes, {"dp_sgd_epsilon": epsilon})

    def _planned(self, order: Order | PoissonOrder) -> int:
        return self._steps or self._epochs * order.steps

    def _batches(self, seed: int) -> DataLoader[Any]:
        declared = self._train.get("dataloader", {})
        return loader(self._dataset, declared, seed, shuffle=True, batch_size=16)

    def _corrections(self, task: TrainTask) -> list[Correction]:
        shared = self.federated_parameters()
        if self._scaffold:
            return [ControlVariates(shared, self.beside, task.state)]
        return [Proximal(shared.values(), self._mu)] if self._mu else []

    def _finish(self, corrections: list[Correction], task: TrainTask) -> None:
        for one in corrections:
            if isinstance(one, ControlVariates):
                self.sent_beside = one.finish(task.new_state if self.team.leads else None)

    def _optimization(
        self, network: nn.Module, task: TrainTask, order: Order | PoissonOrder
    ) -> tuple[Optimizer, Callable[[int], None]]:
        """Return the optimizer of a round, and what is to be done after each of its steps."""
        planned = self._planned(order)
        done = task.round * planned
        epochs = done // order.steps
        optimizer, scheduler = optimization(self.context, self._train, network, epochs)

        def after_step(taken: int) -> None:
            if scheduler is not None and (done + taken) % order.steps == 0:
                scheduler.step()
            task.progress(taken, planned)

        return optimizer, after_step

    def _built(self, kind: ComponentKind) -> Any:
        return self.context.blueprint(kind, self._train[kind.value]).build()
