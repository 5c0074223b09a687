# SPDX-License-Identifier: Apache-2.0
"""A trainer child that several clients share, each in its turn."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.process import ChildProcess
from mmar_runner.errors import MmarRunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.client_trainer import Progress

#: How long a child may take to say what it has taken, in seconds.
_STATS_SECONDS: Final = 5.0


class TrainerHost:
    """One child, started when the first of its clients needs it, and again if it dies.

    Args:
        log: The file that gets what it prints.

    Attributes:
        is_idle: Whether no client has asked for anything yet.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._child: ChildProcess | None = None
        self._clients: set[str] = set()
        self._turn = asyncio.Lock()
        self.is_idle = True

    async def set_up(self, spec: ChildSpec, timeout: float | None) -> None:
        """Have a client's trainer built, unless it is there."""
        async with self._turn:
            await self._ready(spec, timeout)

    async def ask(
        self,
        spec: ChildSpec,
        method: str,
        params: Mapping[str, Any],
        timeout: float | None,
        *,
        told: Progress | None = None,
        begins: Callable[[], None] | None = None,
    ) -> Mapping[str, Any]:
        """Have one client's trainer do something; clients of one child take turns.

        Args:
            spec: Its component and context; the context names the client.
            method: What, such as ``train``.
            params: The question, a JSON object.
            timeout: Seconds that it may take once it has its turn, or None.
            told: Hears of its steps. Only who listens has it given up when they stop coming.
            begins: Called when it has its turn.

        Raises:
            TaskError: It did not succeed.
        """
        # A turn is waited for here and not in the child, where the limit would run.
        async with self._turn:
            if begins is not None:
                begins()
            child = await self._ready(spec, timeout)
            asked = {**params, "client": spec.context.client_name}
            stall = None if told is None else spec.stall_seconds
            return await child.request(method, asked, timeout=timeout, stall=stall, told=told)

    async def peak_bytes(self) -> int | None:
        """Return the most memory that the child has taken; None if it does not say."""
        if self._child is None or not self._child.alive:
            return None
        with suppress(MmarRunnerError):
            answer = await self._child.request("stats", {}, timeout=_STATS_SECONDS)
            peak = answer.get("peak_rss_bytes")
            return peak if type(peak) is int else None
        return None

    async def close(self) -> None:
        """End the child, even in the middle of a task."""
        if self._child is not None:
            await self._child.close()
            self._child = None

    async def _ready(self, spec: ChildSpec, timeout: float | None) -> ChildProcess:
        child = self._child
        if child is None or not child.alive:
            self._clients.clear()
            empty = replace(spec, component={})
            child = await ChildProcess.start(empty, log=self._log, timeout=timeout)
            self._child = child
        client = spec.context.client_name
        if client not in self._clients:
            context = spec.context.to_json()
            params = {"client": client, "component": spec.component, "context": context}
            await child.request("setup", params, timeout=timeout)
            self._clients.add(client)
        return child
