# SPDX-License-Identifier: Apache-2.0
"""A child that hosts no trainer itself, and has every task done by several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmar_runner.children.ranks import Ranks
from mmar_runner.children.role import Method, Role
from mmar_runner.interfaces.client_trainer import tell_nobody

if TYPE_CHECKING:
    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress


class ParallelTrainerRole(Role):
    """Answers for a trainer by asking all its processes; what rank 0 answers counts.

    The processes stay from round to round. Once one of them has failed none is left, and the next
    task has them started anew.

    Args:
        spec: What the child is: it says which launcher starts how many processes.
        progress: What rank 0 tells of its steps.
    """

    def __init__(self, spec: ChildSpec, progress: Progress) -> None:
        self._spec = spec
        self._progress = progress
        self._ranks: Ranks | None = Ranks(spec)

    def methods(self) -> Mapping[str, Method]:
        """Return what can be asked, by name."""
        return {
            "train": lambda params: self._living().ask("train", params, self._progress),
            "validate": lambda params: self._living().ask("validate", params, tell_nobody),
            "best_model": lambda params: self._living().ask("best_model", params, tell_nobody),
        }

    def close(self) -> None:
        """Close the trainers, and end their processes."""
        ranks, self._ranks = self._ranks, None
        if ranks is not None:
            ranks.close()

    def _living(self) -> Ranks:
        """Return processes that can be asked."""
        ranks, self._ranks = self._ranks, None
        if ranks is not None and not ranks.alive:
            ranks.end()
            ranks = None
        self._ranks = ranks or Ranks(self._spec)
        return self._ranks
