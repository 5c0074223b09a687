# SPDX-License-Identifier: Apache-2.0
"""A validator whose work is done by a command of the MMAR, at a server or a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner_entry_points.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext

#: The entry points that it knows.
TAKES: Final = ("startup", "validate")


class EntryPointValidator(ModelValidator):
    """Has models measured by the command of the entry point ``validate``.

    Args:
        entry_points_file: A file of the MMAR that holds entry points, such as ``fedn.yaml``.
        startup: ``{"command", "seconds", "memory_bytes"}``, run once before the first model.
        validate: Likewise; run as ``COMMAND IN OUT``.
        environment: Variables of the commands' environment.
    """

    def __init__(
        self,
        entry_points_file: str | None = None,
        *,
        startup: Mapping[str, Any] | None = None,
        validate: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        self._declared = {
            "entry_points_file": entry_points_file,
            "startup": startup,
            "validate": validate,
            "environment": environment,
        }
        self._commands: Commands | None = None

    def setup(self, context: TrainerContext) -> None:
        """Make the commands' folders, and run the entry point ``startup``.

        Raises:
            NotAuthorizedError: Commands of the MMAR may not run here.
            TaskFailedError: They are not declared as they must be, or ``startup`` failed.
        """
        self._commands = Commands(context, self._declared, TAKES, "validate")
        self._commands.run("startup")

    def validate(self, model: Path) -> Mapping[str, float]:
        """Return what the command says of a model.

        Raises:
            TaskFailedError: It did not succeed, or what it wrote is no metrics.
        """
        if self._commands is None:
            msg = "the validator was not set up"
            raise RuntimeError(msg)
        return self._commands.measure(model)

    def close(self) -> None:
        """Delete the commands' folders."""
        if self._commands is not None:
            self._commands.close()
            self._commands = None
