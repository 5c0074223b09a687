# SPDX-License-Identifier: Apache-2.0
"""An initial model that is made by a command of the MMAR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.model_persistor import ModelPersistor
from mmar_runner_entry_points.commands import Commands
from mmar_runner_entry_points.outcome import take_model

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext

#: The entry points that it knows.
TAKES: Final = ("build",)


class EntryPointModel(ModelPersistor):
    """Has the initial model made by the command of the entry point ``build``.

    Args:
        entry_points_file: A file of the MMAR that holds entry points, such as ``fedn.yaml``.
        build: ``{"command", "seconds", "memory_bytes"}``, run as ``COMMAND OUT``.
        environment: Variables of the command's environment.
    """

    def __init__(
        self,
        entry_points_file: str | None = None,
        *,
        build: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        self._declared = {
            "entry_points_file": entry_points_file,
            "build": build,
            "environment": environment,
        }
        self._context: TrainerContext | None = None

    def setup(self, context: TrainerContext) -> None:
        """Remember where the MMAR lies, and whether its commands may run."""
        self._context = context

    def initial_model(self, destination: Path, *, seed: int) -> None:
        """Have the model made; the same seed gives the same bytes if the command sees to it.

        Raises:
            NotAuthorizedError: Commands of the MMAR may not run here.
            TaskFailedError: The command did not succeed, or wrote no model.
        """
        if self._context is None:
            msg = "the persistor was not set up"
            raise RuntimeError(msg)
        commands = Commands(self._context, self._declared, TAKES, "build")
        try:
            out = commands.place.new_file("initial.safetensors")
            commands.run("build", out, told={"SEED": seed})
            take_model(out, destination, None, "build")
        finally:
            commands.close()
