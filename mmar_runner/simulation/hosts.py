# SPDX-License-Identifier: Apache-2.0
"""Where the trainers of several simulated clients live, and what is asked of them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one client's trainer.

    Attributes:
        spec: Its component and context; the context names the client.
        method: What, such as ``train``.
        params: The question, a JSON object.
        timeout: Seconds that it may take once it has its turn, or None; the building of the
            trainer, if it is not there yet, is part of it.
        told: Hears of its steps. Only who listens has it given up when they stop coming.
        begins: Called when it has its turn.
    """

    spec: ChildSpec
    method: str
    params: Mapping[str, Any]
    timeout: float | None
    told: Progress | None = None
    begins: Callable[[], None] = lambda: None

    @property
    def client(self) -> str:
        """The client's name."""
        return self.spec.context.client_name


class Host(Protocol):
    """Has the trainers of several clients, which take turns.

    Attributes:
        is_idle: Whether no client has asked for anything yet.
    """

    is_idle: bool

    async def set_up(self, spec: ChildSpec, timeout: float | None) -> None:
        """Have a client's trainer built, unless it is there."""
        ...

    async def ask(self, asked: Asked) -> Mapping[str, Any]:
        """Have one client's trainer do something.

        Raises:
            TaskError: It did not succeed.
        """
        ...

    async def peak_bytes(self) -> int | None:
        """Return the most memory that the trainers' process has taken; None if unknown."""
        ...

    async def close(self) -> None:
        """End it, even in the middle of a task."""
        ...
