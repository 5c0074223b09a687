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
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.simulation.hosts import Asked

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
            child = await self._started(spec, timeout)
            if spec.context.client_name not in self._clients:
                whose = {"client": spec.context.client_name}
                await child.request("setup", {**whose, **_building(spec)}, timeout=timeout)
                self._clients.add(spec.context.client_name)

    async def ask(self, asked: Asked) -> Mapping[str, Any]:
        """Have one client's trainer do something; clients of one child take turns.

        Raises:
            TaskError: It did not succeed.
        """
        # A turn is waited for here and not in the child, where the limit would run.
        async with self._turn:
            asked.begins()
            child = await self._started(asked.spec, asked.timeout)
            params = {**asked.params, "client": asked.client}
            if asked.client not in self._clients:  # a question of its own would cost another wait
                params["setup"] = _building(asked.spec)
            answer = await child.request(
                asked.method,
                params,
                timeout=asked.timeout,
                stall=None if asked.told is None else asked.spec.stall_seconds,
                told=asked.told,
            )
            self._clients.add(asked.client)
            return answer

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

    async def _started(self, spec: ChildSpec, timeout: float | None) -> ChildProcess:
        child = self._child
        if child is None or not child.alive:
            self._clients.clear()
            empty = replace(spec, component={})
            child = await ChildProcess.start(empty, log=self._log, timeout=timeout)
            self._child = child
        return child


def _building(spec: ChildSpec) -> dict[str, Any]:
    """Return what a client's trainer is built of."""
    return {"component": spec.component, "context": spec.context.to_json()}
