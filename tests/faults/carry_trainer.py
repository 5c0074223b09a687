# SPDX-License-Identifier: Apache-2.0
"""A trainer whose update depends on all its earlier ones, as an optimizer's does.

It goes into an MMAR's ``custom/``. What it keeps becomes current only with a receipt:
one round that is trained twice from the wrong state shows in every later model.
"""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask
from mmar_runner_echo.blocks import Change, transform
from mmar_runner_echo.trainer import EchoTrainer


class CarryTrainer(EchoTrainer):
    """Adds a constant, noise and what it carries; see `EchoTrainer` for its arguments.

    Two more behaviours: ``segfault`` ends the process by SIGSEGV, ``eat`` asks
    for memory until it gets none.
    """

    def train(self, task: TrainTask) -> TrainResult:
        """Write the received model plus what is added, and carry half of it on."""
        nan = self._failure.is_due(task.round, self._failures) and self._fail()
        carried = _read(task.state / "carry")
        change = Change(self._constant + carried, self._noise, seed=task.seed, nan=nan)
        transform(task.model, task.update, change)
        (task.new_state / "carry").write_text(repr(carried / 2 + task.round + 1))
        seen = self.validate(task.model)
        return TrainResult(self._num_samples, metrics={"carried": carried}, validation=seen)

    def _fail(self) -> bool:
        ways = {"segfault": _crash, "eat": _eat}
        return ways.get(self._failure.behaviour, self._failure.happen)()


def _crash() -> bool:
    os.kill(os.getpid(), signal.SIGSEGV)
    return False


def _eat() -> bool:
    # The limit that a site's policy sets; without a kit there is no policy.
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


def _read(path: Path) -> float:
    return float(path.read_text()) if path.exists() else 0.0
