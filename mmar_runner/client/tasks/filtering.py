# SPDX-License-Identifier: Apache-2.0
"""The declared filters of one direction, in a child process of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.children.filter_request import context_fields, filter_params
from mmar_runner.children.process import ChildProcess
from mmar_runner.children.results import read_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.children.process import Asked
    from mmar_runner.children.spec import ChildSpec
    from mmar_runner.client.transfer.downloads import ReceivedModel
    from mmar_runner.interfaces.filter import FilterContext


class FilterChain:
    """Sends files through filters.

    Attributes:
        metrics: What they said of the last file.

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
        self._answer: Mapping[str, Any] = {}
        self.metrics: Mapping[str, float] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there are no filters."""
        return not self._spec.component["filters"]

    @property
    def answer(self) -> Mapping[str, Any]:
        """What the child said of the last file."""
        return self._answer

    async def apply(
        self,
        source: Path,
        destination: Path,
        context: FilterContext,
        received: ReceivedModel | None = None,
        asked: Asked | None = None,
    ) -> Path:
        """Write ``source``, filtered, to ``destination`` and return where it lies.

        Without filters that is ``source`` itself.

        Args:
            source: What goes in.
            destination: Where it goes.
            context: What filters are told.
            received: The round's model as it came, for filters that work on differences.
            asked: Hands in what filters exchange with other sites.

        Raises:
            TaskError: A filter failed; nothing must leave, or be trained.
        """
        if self.is_empty:
            return source
        child = await self._living()
        known = None if received is None else (received.path, received.sha256)
        params = filter_params(source, destination, context, known)
        answer = await child.request("filter", params, timeout=self._timeout, asked=asked)
        self._answer, self.metrics = answer, read_metrics(answer)
        return destination

    async def settle(self, context: FilterContext, asked: Asked) -> None:
        """Let filters do what is left once their update was acknowledged.

        Raises:
            TaskError: A filter failed.
        """
        child = await self._living()
        params = {"context": context_fields(context)}
        await child.request("settle", params, timeout=self._timeout, asked=asked)

    async def _living(self) -> ChildProcess:
        if self._child is None or not self._child.alive:
            self._child = await ChildProcess.start(self._spec, log=self._log, timeout=self._timeout)
        return self._child

    async def close(self) -> None:
        """End the child."""
        if self._child is not None:
            await self._child.close()
