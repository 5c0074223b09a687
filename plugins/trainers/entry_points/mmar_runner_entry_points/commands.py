# SPDX-License-Identifier: Apache-2.0
"""The commands of one component, ready to be run: what all three components share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner_entry_points.declared import declared_entry_points, require_leave, required
from mmar_runner_entry_points.outcome import read_metrics
from mmar_runner_entry_points.running import run
from mmar_runner_entry_points.surroundings import WorkPlace

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext
    from mmar_runner.interfaces.entry_points import EntryPoint

_METRICS = "metrics.json"


class Commands:
    """Entry points with the folders that they work in.

    Args:
        context: Of the component.
        declared: Its arguments: entry points by name, ``entry_points_file``, ``environment``.
        takes: The entry points that the component knows.
        needs: The one that it cannot do without.

    Raises:
        NotAuthorizedError: Commands of the MMAR may not run here.
        TaskFailedError: They are not declared as they must be.
        StorageError: Folders cannot be made.
    """

    def __init__(
        self,
        context: TrainerContext,
        declared: Mapping[str, Any],
        takes: Sequence[str],
        needs: str,
    ) -> None:
        require_leave(context)
        file: str | None = declared.get("entry_points_file")
        self._entries = declared_entry_points(context.mmar, file, declared, takes)
        required(self._entries, needs)
        self._own: Mapping[str, Any] = declared.get("environment") or {}
        self._told = {"CLIENT": context.client_name}
        self.place = WorkPlace.of(context, f"entry_points_{needs}")

    def has(self, name: str) -> bool:
        """Return whether an entry point is declared."""
        return name in self._entries

    def run(self, name: str, *arguments: Path, told: Mapping[str, Any] | None = None) -> None:
        """Run an entry point to its end; one that is not declared does nothing.

        Args:
            name: The entry point.
            arguments: What its command is given.
            told: What it is told besides, by variable.

        Raises:
            TaskFailedError: It did not succeed.
        """
        entry: EntryPoint | None = self._entries.get(name)
        if entry is None:
            return
        variables = {**self._told, "ENTRY_POINT": name, **(told or {})}
        place = self.place.surroundings(variables, self._own)
        run(entry, [str(argument) for argument in arguments], place)

    def measure(self, model: Path) -> dict[str, float]:
        """Return what the entry point validate says of a model; nothing if there is none.

        Raises:
            TaskFailedError: It did not succeed, or what it wrote is no metrics.
        """
        if not self.has("validate"):
            return {}
        out = self.place.new_file(_METRICS)
        self.run("validate", model, out)
        return read_metrics(out)

    def close(self) -> None:
        """Delete the folders."""
        self.place.remove()
