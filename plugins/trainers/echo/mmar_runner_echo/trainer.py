# SPDX-License-Identifier: Apache-2.0
"""A trainer that returns what it received, plus a constant."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.interfaces.network_facts import NetworkFacts
from mmar_runner_echo.blocks import BLOCK_BYTES, Change, first_value, transform

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask


class EchoTrainer(ClientTrainer):
    """Adds ``constant``, and noise if asked, to every floating-point tensor.

    Integer and boolean tensors are returned as they came. The arguments from
    ``fail_in_round`` on make it fail in the ways that user code fails. Of several processes the
    first one does what there is to do, and each says that it was asked.

    Args:
        constant: What is added to every element.
        num_samples: How many samples are reported.
        noise: Standard deviation of Gaussian noise drawn from the task's seed.
        seconds: How long training pretends to take.
        validate_seconds: How long the validation of a model pretends to take, after the rounds.
        steps: In how many steps it does; each is told.
        fail_in_round: The round in which it fails; negative for never.
        behaviour: How it fails: ``raise``, ``exit``, ``hang`` or ``nan``.
        fail_rank: Which of several processes fails; negative for each of them.
        fail_times: How many attempts fail before one succeeds; 0 for all.
    """

    def __init__(
        self,
        constant: float = 1.0,
        num_samples: float = 1,
        *,
        noise: float = 0.0,
        seconds: float = 0.0,
        validate_seconds: float = 0.0,
        steps: int = 10,
        fail_in_round: int = -1,
        behaviour: str = "raise",
        fail_rank: int = -1,
        fail_times: int = 0,
    ) -> None:
        self._constant = constant
        self._num_samples = num_samples
        self._noise = noise
        self._seconds = seconds
        self._steps = steps
        self._validate_seconds = validate_seconds
        self._failure = _Failure(fail_in_round, behaviour, fail_times)
        self._fail_rank = fail_rank
        self._failures: Path | None = None
        self._last: Path | None = None
        self._rank, self._processes = 0, 1

    def setup(self, context: TrainerContext) -> None:
        """Remember where attempts are counted, and which process this is."""
        self._rank, self._processes = context.rank, context.processes
        which = f"_{context.rank}" if context.rank else ""
        self._failures = context.workspace / f"echo_failures{which}"
        self._last = context.workspace / "echo_last.safetensors" if context.keeps_best else None

    def describe(self, context: TrainerContext) -> NetworkFacts:
        """Return that any model will do: it is changed block by block."""
        del context
        return NetworkFacts({}, takes_any=True, memory={"blocks": 2 * BLOCK_BYTES})

    def setup_synthetic(self, context: TrainerContext) -> None:
        """Prepare for a round that takes no time: there is no data in it anyway."""
        self._seconds = self._validate_seconds = 0.0
        self.setup(context)

    def train(self, task: TrainTask) -> TrainResult:
        """Write the received model plus the constant."""
        if self._seconds:
            self._pretend(task)
        nan = self._fails(task.round) and self._failure.happen()
        change = Change(self._constant, self._noise, seed=task.seed, nan=nan)
        if self._processes > 1:
            sys.stdout.write(f"one of {self._processes} is asked for round {task.round}\n")
        if not self._rank:
            transform(task.model, task.update, change)
            if self._last is not None:
                transform(task.update, self._last, Change(0.0))
        metrics = {"constant": self._constant}
        validation = _measured(task.model) if task.validate else {}
        return TrainResult(self._num_samples, metrics=metrics, validation=validation)

    def _fails(self, round_number: int) -> bool:
        chosen = self._fail_rank < 0 or self._fail_rank == self._rank
        return chosen and self._failure.is_due(round_number, self._failures)

    def _pretend(self, task: TrainTask) -> None:
        pause = threading.Event()
        for step in range(1, self._steps + 1):
            pause.wait(self._seconds / self._steps)
            task.progress(step, self._steps)

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return the model's first value, by which one can see how often it was trained."""
        if self._validate_seconds:
            threading.Event().wait(self._validate_seconds)
        return _measured(model)

    def best_model(self, destination: Path) -> Mapping[str, float] | None:
        """Write the last update: no other is better."""
        if self._last is None or not self._last.is_file():
            return None
        transform(self._last, destination, Change(0.0))
        return _measured(destination)


def _measured(model: Path) -> dict[str, float]:
    return {"val_first_value": first_value(model)}


@dataclass(frozen=True, slots=True)
class _Failure:
    """When and how to fail; attempts are counted in a file, since a process may die."""

    round: int
    behaviour: str
    times: int

    def is_due(self, round_number: int, counter: Path | None) -> bool:
        if round_number != self.round:
            return False
        if not self.times or counter is None:
            return True
        failed = int(counter.read_text()) if counter.exists() else 0
        counter.write_text(str(failed + 1))
        return failed < self.times

    def happen(self) -> bool:
        """Fail; return True if the failure is to be NaN in the update."""
        if self.behaviour == "raise":
            message = f"failing in round {self.round}, as the arguments say"
            raise RuntimeError(message)
        if self.behaviour == "exit":
            sys.exit(3)
        if self.behaviour == "hang":
            threading.Event().wait()
        return True
