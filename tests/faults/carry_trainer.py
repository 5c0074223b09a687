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

    Two more behaviours, each once: ``segfault`` ends the process by SIGSEGV, ``eat`` asks
    for memory until it gets none.
    """

    def train(self, task: TrainTask) -> TrainResult:
        """Write the received model plus what is added, and carry half of it on."""
        if task.round == self._failure.round:
            self._fail_once(task.update.parent / "failed")
        carried = _read(task.state / "carry")
        result = super().train(task)
        change = Change(self._constant + carried, self._noise, seed=task.seed)
        transform(task.model, task.update, change)
        (task.new_state / "carry").write_text(repr(carried / 2 + task.round + 1))
        return result

    def _fail_once(self, marker: Path) -> None:
        ways = {"segfault": _crash, "eat": _eat}
        if self._failure.behaviour in ways and not marker.exists():
            marker.touch()
            ways[self._failure.behaviour]()


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _eat() -> None:
    # The limit that a site's policy sets; without a kit there is no policy.
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


def _read(path: Path) -> float:
    return float(path.read_text()) if path.exists() else 0.0
