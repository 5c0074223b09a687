# SPDX-License-Identifier: Apache-2.0
"""The base class for a training loop of your own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainerContext, TrainResult
from mmar_runner_torch.best_local import BestLocal
from mmar_runner_torch.determinism import (
    device_named,
    seed_everything,
    use_deterministic_algorithms,
)
from mmar_runner_torch.files import State, read_state, write_state
from mmar_runner_torch.network import difference, load_shared, personal_state, shared_state
from mmar_runner_torch.team import Team, device_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from mmar_runner.interfaces.client_trainer import TrainTask

#: In a task's state folder: the tensors of the network that are not shared.
PERSONAL_FILE = "personal.safetensors"


@dataclass(frozen=True, slots=True)
class LocalResult:
    """What one round of local training came to.

    Attributes:
        num_samples: How many samples were used; of several processes, by this one.
        metrics: Such as ``train_loss``; of several processes, over this one's samples.
    """

    num_samples: float
    metrics: Mapping[str, float] = field(default_factory=dict)


class TorchLoopTrainer(ClientTrainer):
    """Does everything around a training loop: files, seeds, devices, validation.

    A subclass says which network there is (`build_network`), how it is trained for a
    round (`train_round`), and, if it can, how good it is (`evaluate`). Tensors of the
    network that the global model does not hold stay at the site, from round to round.

    In several processes each has a trainer. `train_round` then gets a network whose gradients are
    the mean over all of them, and trains on this process's share of the data: ``self.team`` says
    which it is. The first one measures and writes; numbers of samples are added up, metrics
    averaged by them.

    Args:
        send: ``weights`` or ``weight_diff``.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    context: TrainerContext
    network: nn.Module
    team: Team = Team()

    def __init__(self, *, send: str = "weights", device: str = "auto") -> None:
        self.send = UpdateKind(send)
        self.device = device_named(device)
        self._first_personal: State | None = None

    @abstractmethod
    def build_network(self, context: TrainerContext) -> nn.Module:
        """Return the network. Prepare data here too, or in an extended `setup`."""

    @abstractmethod
    def train_round(self, network: nn.Module, task: TrainTask) -> LocalResult:
        """Train the network in place for one round; it holds the round's global model."""

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Return metrics of the network on held-out data, such as ``val_auc``."""
        del network
        return {}

    def setup(self, context: TrainerContext) -> None:
        """Build the network, on its device."""
        use_deterministic_algorithms()
        seed_everything(0)  # what is not shared begins alike at every site
        self.context = context
        self.device = device_of(context, self.device)
        self.team = Team.joined(context, self.device)
        self.network = self.build_network(context).to(self.device)

    def train(self, task: TrainTask) -> TrainResult:
        """Read the global model, validate it, train it, write the update."""
        received = read_state(task.model)
        self._load(received, task.state)
        seed_everything(task.seed)
        validation = self._evaluated() if self.team.leads else {}
        seed_everything(task.seed + self.team.rank)  # processes draw different noise
        self.network.train()
        result = self.train_round(self.team.wrapped(self.network), task)
        samples, metrics = self.team.means(result.num_samples, result.metrics, self.device)
        if self.team.leads:
            self._write(task, received)
            if self.context.keeps_best:
                best = BestLocal(self.context.workspace)
                best.consider(shared_state(self.network, received), self._evaluated())
        return TrainResult(samples, metrics, validation, self.send)

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the metrics of a model file."""
        if not self.team.leads:
            return {}
        load_shared(self.network, read_state(model))
        return self._evaluated()

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model that was trained here, by this site's own metrics."""
        return BestLocal(self.context.workspace).write(destination)

    def close(self) -> None:
        """Let go of the other processes, if there are any."""
        self.team.leave()

    def _evaluated(self) -> Mapping[str, float]:
        self.network.eval()
        return self.evaluate(self.network)

    def _load(self, received: State, state: Path) -> None:
        if self._first_personal is None:
            self._first_personal = personal_state(self.network, received)
        load_shared(self.network, received)
        kept = state / PERSONAL_FILE
        load_shared(self.network, read_state(kept) if kept.exists() else self._first_personal)

    def _write(self, task: TrainTask, received: State) -> None:
        personal = personal_state(self.network, received)
        if personal:
            write_state(task.new_state / PERSONAL_FILE, personal)
        update = shared_state(self.network, received)
        if self.send is UpdateKind.WEIGHT_DIFF:
            update = difference(update, received)
        write_state(task.update, update)
