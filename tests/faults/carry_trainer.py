# SPDX-License-Identifier: Apache-2.0
"""A trainer whose update depends on all its earlier ones, as an optimizer's does.

It goes into an MMAR's ``custom/``. What it keeps becomes current only with a receipt:
one round that is trained twice from the wrong state shows in every later model.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask
from mmar_runner_echo.blocks import Change, transform
from mmar_runner_echo.trainer import EchoTrainer


class CarryTrainer(EchoTrainer):
    """Adds a constant, noise and what it carries; see `EchoTrainer` for its arguments.

    In ``fail_in_round`` the behaviour ``segfault`` ends the process by SIGSEGV, once.
    """

    def train(self, task: TrainTask) -> TrainResult:
        """Write the received model plus what is added, and carry half of it on."""
        if self._failure.behaviour == "segfault" and task.round == self._failure.round:
            self._crash(task.update.parent / "crashed")
        carried = _read(task.state / "carry")
        result = super().train(task)
        change = Change(self._constant + carried, self._noise, seed=task.seed)
        transform(task.model, task.update, change)
        (task.new_state / "carry").write_text(repr(carried / 2 + task.round + 1))
        return result

    @staticmethod
    def _crash(once: Path) -> None:
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGSEGV)


def _read(path: Path) -> float:
    return float(path.read_text()) if path.exists() else 0.0
