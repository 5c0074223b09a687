# SPDX-License-Identifier: Apache-2.0
"""What a client trainer must be.

A trainer lives in a child process of the client session. It never sees the network:
it reads the round's global model from one safetensors file and writes its update to
another. It is built once per run from the arguments of its declaration, set up once,
and then asked to train, round after round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from mmar_runner.errors import SyntheticDataError
from mmar_runner.interfaces.aggregator import UpdateKind

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.catalog import Blueprint, ComponentKind
    from mmar_runner.interfaces.network_facts import NetworkFacts


#: Tells how many steps of a task are done, and of how many in all; 0 if that is not known.
Progress: TypeAlias = Callable[[int, int], None]


def tell_nobody(step: int, total: int) -> None:
    """Tell a step to nobody, as where nobody watches."""


@dataclass(frozen=True, slots=True)
class TrainerContext:
    """What a trainer is told once, before its first task.

    Attributes:
        client_name: The name of this client.
        mmar: The MMAR's root folder (read-only).
        workspace: A folder that belongs to this client and run.
        train_config: ``config_train.json`` with its variables replaced, without comments
            and the contents of what is switched off; or empty.
        validation_config: ``config_validation.json`` likewise, or empty.
        variables: Every variable in force, strongest value, those in them replaced. One
            by which the MMAR names a place outside it is there only if a file uses it.
        blueprint: Turns a declaration (``{"name": ..., "args": ...}``) of a kind into
            a `Blueprint`; raises ComponentNotFoundError or ComponentBuildError.
        rank: Which of the trainer's processes this is, from 0. Each of them has a trainer, and
            each is asked to train every task; the answer and the files of rank 0 count.
        processes: How many there are; 1 unless the trainer works in several.
        keeps_best: Whether `ClientTrainer.best_model` will be asked for: only then is it worth
            anything to keep it.
        expressions: Whether expressions that the MMAR holds as text may be evaluated here. A
            trainer that hands a configuration to a library which would evaluate some refuses
            it otherwise, with NotAuthorizedError (EXPRESSIONS_NOT_ALLOWED).
        commands: Whether commands that the MMAR declares may be started here: they are code, and
            whoever starts some refuses it otherwise, with NotAuthorizedError (BYOC_NOT_ALLOWED).
        alone: Whether this process serves trainers and nothing else. Then a trainer may close it
            for good to what it never needs, such as writing outside its workspace.
    """

    client_name: str
    mmar: Path
    workspace: Path
    train_config: Mapping[str, Any]
    validation_config: Mapping[str, Any]
    variables: Mapping[str, Any]
    blueprint: Callable[[ComponentKind, Mapping[str, Any]], Blueprint]
    rank: int = 0
    processes: int = 1
    keeps_best: bool = False
    expressions: bool = False
    commands: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class TrainTask:
    """One round's work.

    Attributes:
        run_number: The run, from 1.
        round: The round, from the run's start_round.
        num_rounds: The round to stop at; negative if the run never stops.
        seed: H(run seed, client, round), 0 <= seed < 2**63: seed everything with it. It is
            the same in every process of a trainer.
        model: The round's global model, a safetensors file; read-only.
        update: Where to write the update, a safetensors file with the model's tensors. Of
            several processes rank 0 writes it, and ``new_state``; the others write neither.
        state: A folder with what `save` of the last acknowledged round left (empty in
            the first round).
        new_state: An empty folder for what must be kept; it becomes ``state`` of the
            next task only if this round's update is acknowledged.
        progress: Call it after every step with the number of steps done and of all of them,
            if you like: whoever watches sees it, and a site may give a task up whose steps
            have stopped coming. It costs little, may be called from any thread, and passes
            on four steps a second at most.
        validate: Whether the received model is to be measured on held-out data before it is
            trained; False in the rounds that the server's ``validate_every`` leaves out.
    """

    run_number: int
    round: int
    num_rounds: int
    seed: int
    model: Path
    update: Path
    state: Path
    new_state: Path
    progress: Progress = field(default=tell_nobody, repr=False, compare=False)
    validate: bool = True


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a trainer answers once ``task.update`` is written and closed.

    Attributes:
        num_samples: How many samples were used this round; positive and finite.
        metrics: Of this round's local training, such as ``train_loss``.
        validation: Of the *received* global model on this site's held-out data, such
            as ``val_auc``; empty if it was not validated.
        kind: Whether the update holds weights or differences to the received model.
    """

    num_samples: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    kind: UpdateKind = UpdateKind.WEIGHTS


class ClientTrainer(ABC):
    """Trains on a site's own data."""

    def setup(self, context: TrainerContext) -> None:
        """Prepare data and model, once, before the first task."""

    def describe(self, context: TrainerContext) -> NetworkFacts | None:
        """Return what the declared network is, without its data; None if that is not known.

        ``validate-mmar --deep`` asks, where there may be no data, of a trainer that is neither set
        up nor asked anything else.
        """
        del context
        return None

    def unknown_network(self) -> str:
        """Return why `describe` knows nothing, for the note of ``validate-mmar --deep``.

        Whoever never describes a network says so here, in a clause without a full stop.
        """
        return ""

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare as `setup` does, but on made-up data of the declared shapes, for a dry run.

        Little data, and a short round: what is to be seen is whether everything fits.

        Raises:
            SyntheticDataError: This trainer makes no data up.
        """
        del context
        raise SyntheticDataError(
            f"{type(self).__name__} makes no data up for a dry run",
            hint="give the class a setup_synthetic; or try it on real data: mmar-runner simulate",
        )

    @abstractmethod
    def train(self, task: TrainTask) -> TrainResult:
        """Train one round and write ``task.update``."""

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the metrics of a model file on this site's held-out data."""
        return {}

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the best model that this site has trained itself, for cross-site validation.

        It is asked for after the last round, maybe of a process that has trained nothing: what
        is best is kept in the context's workspace.

        Args:
            destination: Where to write it: a safetensors file with the model's tensors.

        Returns:
            What it is worth on this site's held-out data, as far as that is known; None if there
            is none, and nothing was written.
        """
        del destination
        return None

    def close(self) -> None:
        """Release what `setup` took; called once, after the last task."""
