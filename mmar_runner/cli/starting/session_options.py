# SPDX-License-Identifier: Apache-2.0
"""What the command line says of a session, whoever has it: its limits, and its way to a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.client.roaming import run_roaming
from mmar_runner.client.session import run_session
from mmar_runner.client.settings import smaller

if TYPE_CHECKING:
    import asyncio

    from mmar_runner.client.session import SessionOutcome
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer


@dataclass(frozen=True, slots=True)
class Limits:
    """What the command line says of any client.

    Attributes:
        plugins_dir: A folder of one-file plugins for its children, or None.
        task_timeout: Seconds a task may take; None leaves it.
        stall_seconds: Seconds a task may go without a step; None likewise.
        connect_timeout: Seconds to try to reach the server the first time; None tries for ever.
        processes: In how many processes the trainer works; None leaves it.
    """

    plugins_dir: Path | None
    task_timeout: float | None
    stall_seconds: float | None
    connect_timeout: float | None
    processes: int | None

    def of(self, settings: SessionSettings) -> SessionSettings:
        """Return settings within these limits, never wider than they were."""
        return replace(
            settings,
            plugins_dir=None if self.plugins_dir is None else self.plugins_dir.absolute(),
            task_timeout=smaller(settings.task_timeout, self.task_timeout),
            stall_seconds=smaller(settings.stall_seconds, self.stall_seconds),
            connect_timeout=self.connect_timeout,
            processes=self.processes,
        )


@dataclass(frozen=True, slots=True)
class Way:
    """How a client finds whom it works for: the server itself, or the combiner that it is told.

    Attributes:
        asks: Whether it asks its server which combiner it works below.
        preferred: The combiner to ask for first; empty for none.
        admit: Raises unless a combiner may be called at an address.
    """

    asks: bool
    preferred: str = ""
    admit: Callable[[str], None] = lambda _: None

    async def walk(
        self,
        settings: SessionSettings,
        plugins: LoadedPlugins,
        observer: Observer,
        stop: asyncio.Event,
    ) -> SessionOutcome:
        """Work until the run is over; see `run_session` and `run_roaming`."""
        if not self.asks:
            return await run_session(settings, plugins, observer, stop)
        return await run_roaming(
            *(settings, plugins, observer, stop), preferred=self.preferred, admit=self.admit
        )
