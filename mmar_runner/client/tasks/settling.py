# SPDX-License-Identifier: Apache-2.0
"""What filters have left to do once an update counts, done beside the wait for the next task."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mmar_runner.errors import MmarRunnerError
from mmar_runner.waiting.races import end

if TYPE_CHECKING:
    from mmar_runner.client.files.pending import Unsettled
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.tasks.work import Work

_log = logging.getLogger(__name__)


class Settling:
    """Settles one update after the other.

    Args:
        files: Of the run; they know what an earlier process left unsettled.
        work: Has the filters.
    """

    def __init__(self, files: RunFiles, work: Work) -> None:
        self._files = files
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Settle the update that was acknowledged last, if there is something to settle."""
        unsettled = self._files.unsettled()
        if unsettled is not None:
            self._task = asyncio.create_task(self._settle(unsettled))

    async def stop(self) -> None:
        """Leave it: the next task needs the filters. The others go on without this client."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _settle(self, unsettled: Unsettled) -> None:
        try:
            await self._work.settle(unsettled)
        except MmarRunnerError as error:
            # The update counts, or others have to do without: either way it is not ours to mend.
            _log.warning("round %d is not settled: %s", unsettled.round, error.message)
        try:
            self._files.forget_unsettled()
        except MmarRunnerError as error:  # it is tried once more by the next session, in vain
            _log.warning("what was settled is not forgotten: %s", error.message)
