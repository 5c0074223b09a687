# SPDX-License-Identifier: Apache-2.0
"""The base class for a training loop of your own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainerContext, TrainResult
from mmar_runner.interfaces.network_facts import NetworkFacts
from mmar_runner_torch.best_local import BestLocal
from mmar_runner_torch.companions import parted
from mmar_runner_torch.describing import (
    built_on_meta,
    bytes_of,
    gradient_bytes,
    tensor_facts,
    weights_bytes,
)
from mmar_runner_torch.determinism import (
    device_named,
    seed_everything,
    use_deterministic_algorithms,
)
from mmar_runner_torch.files import State, read_state, write_state
from mmar_runner_torch.site_tensors import SiteTensors
from mmar_runner_torch.team import Team, device_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from mmar_runner.interfaces.client_trainer import TrainTask


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
    network that the global model does not hold stay at the site, from round to round; so do
    those that ``exclude_vars`` names.

    In several processes each has a trainer. `train_round` then gets a network whose gradients are
    the mean over all of them, and trains on this process's share of the data: ``self.team`` says
    which it is. The first one measures and writes; numbers of samples are added up, metrics
    averaged by them.

    Args:
        send: ``weights`` or ``weight_diff``.
        device: ``auto``, ``cpu`` or ``cuda``.
        exclude_vars: Regular expression; tensors in whose name it is found are neither taken
            from the global model, once the site has its own, nor sent. ``""`` and ``"dummy"``
            exclude nothing.

    Attributes:
        context: What the trainer was told.
        network: On its device.
        team: Which of several processes this is.
        tensors: Which tensors are the site's.
        beside: In `train_round`: the control variates that came with the global model, by
            their names in the file.
        sent_beside: What an update holds for some of these; without a word of the subclass they
            leave unchanged, or as a difference of zero.
    """

    context: TrainerContext
    network: nn.Module
    team: Team = Team()

    def __init__(
        self, *, send: str = "weights", device: str = "auto", exclude_vars: str | None = None
    ) -> None:
        self.send = UpdateKind(send)
        self.device = device_named(device)
        self.tensors = SiteTensors(exclude_vars)
        self.beside: State = {}
        self.sent_beside: State = {}
        self._federated: frozenset[str] = frozenset()

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

    def declared_network(self, context: TrainerContext) -> nn.Module | None:
        """Return the network alone, without data, for checks; None if that is not known.

        It is called on torch's meta device, where tensors have shapes and no numbers.
        """
        del context
        return None

    def describe(self, context: TrainerContext) -> NetworkFacts | None:
        """Return what the tensors of `declared_network` are, and what training takes."""
        network, note = built_on_meta(lambda: self.declared_network(context))
        if network is None:
            return None
        state = network.state_dict()
        kept = frozenset(name for name in state if self.tensors.excludes(name))
        memory = self.memory(network, context)
        return NetworkFacts(
            tensor_facts(state),
            by_name=self.tensors.by_name,
            kept=kept,
            memory=memory,
            note=note,
        )

    def memory(self, network: nn.Module, context: TrainerContext) -> dict[str, int]:
        """Return what a round takes at most beside the libraries, in bytes, by what takes it.

        Args:
            network: On the meta device.
            context: What the trainer would be told.
        """
        del context
        model = bytes_of(network.state_dict().values())
        # What came and what leaves lie beside the network, and with differences both twice.
        copies = 2 if self.send is UpdateKind.WEIGHTS else 3
        return {
            "weights": weights_bytes(network),
            "gradients": gradient_bytes(network),
            "received and sent": copies * model,
        }

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
        received, self.beside = parted(read_state(task.model))
        self.sent_beside = {}
        self._federated = frozenset(self.tensors.federated(received))
        self.tensors.load(self.network, received, task.state)
        seed_everything(task.seed)
        validation = self._evaluated() if self.team.leads and task.validate else {}
        seed_everything(task.seed + self.team.rank)  # processes draw different noise
        self.network.train()
        result = self.train_round(self.team.wrapped(self.network), task)
        samples, metrics = self.team.means(result.num_samples, result.metrics, self.device)
        if self.team.leads:
            self.tensors.save(self.network, received, task.new_state)
            write_state(task.update, self._update(received))
            if self.context.keeps_best:
                best = BestLocal(self.context.workspace)
                own = self.tensors.update(self.network, received, UpdateKind.WEIGHTS)
                best.consider(own | self.beside, self._evaluated())
        return TrainResult(samples, metrics, validation, self.send)

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the metrics of a model file."""
        if not self.team.leads:
            return {}
        self.tensors.load_to_measure(self.network, parted(read_state(model))[0])
        return self._evaluated()

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model that was trained here, by this site's own metrics."""
        return BestLocal(self.context.workspace).write(destination)

    def close(self) -> None:
        """Let go of the other processes, if there are any."""
        self.team.leave()

    def federated_parameters(self) -> dict[str, nn.Parameter]:
        """Return, in `train_round`, what is trained and shared: parameters by name."""
        named = self.network.named_parameters()
        return {n: p for n, p in named if p.requires_grad and n in self._federated}

    def _evaluated(self) -> Mapping[str, float]:
        self.network.eval()
        return self.evaluate(self.network)

    def _update(self, received: State) -> State:
        """Return all that leaves: the model's tensors, and those that came beside them."""
        update = self.tensors.update(self.network, received, self.send)
        differs = self.send is UpdateKind.WEIGHT_DIFF
        beside = {n: torch.zeros_like(t) if differs else t for n, t in self.beside.items()}
        return update | beside | self.sent_beside
