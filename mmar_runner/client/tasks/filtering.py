# SPDX-License-Identifier: Apache-2.0
"""The declared filters of one direction, in a child process of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.children.process import ChildProcess
from mmar_runner.client.files.values import values_of

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.interfaces.filter import FilterContext


class FilterChain:
    """Sends files through filters.

    Args:
        spec: The child's specification; its component is ``{"filters": [...]}``.
        log: The file that gets what the child prints.
        timeout: Seconds that one file may take, or None.
    """

    def __init__(self, spec: ChildSpec, *, log: Path, timeout: float | None) -> None:
        self._spec = spec
        self._log = log
        self._timeout = timeout
        self._child: ChildProcess | None = None

    async def apply(self, source: Path, destination: Path, context: FilterContext) -> Path:
        """Write ``source``, filtered, to ``destination`` and return where it lies.

        Without filters that is ``source`` itself.

        Raises:
            TaskError: A filter failed; nothing must leave, or be trained.
        """
        if not self._spec.component["filters"]:
            return source
        if self._child is None or not self._child.alive:
            self._child = await ChildProcess.start(self._spec, log=self._log, timeout=self._timeout)
        params = {
            "source": str(source),
            "destination": str(destination),
            "context": values_of(context),
        }
        await self._child.request("filter", params, timeout=self._timeout)
        return destination

    async def close(self) -> None:
        """End the child."""
        if self._child is not None:
            await self._child.close()
