# SPDX-License-Identifier: Apache-2.0
"""The time that clients are given to hear that the run has ended, and the record of that."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted
from mmar_runner.errors import RunStoppedError, StorageError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.ending import unless_stopped
from mmar_runner.server.records.record import Kind

if TYPE_CHECKING:
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.calls.downloads import Downloads
    from mmar_runner.server.ending import Hurry
    from mmar_runner.server.records.run_record import RunRecord

_log = logging.getLogger(__name__)

#: How long clients may take to hear that the run has ended.
_GOODBYE_SECONDS: Final = 10.0
#: After how long it is said that somebody has not heard of it yet.
_SAID_AFTER_SECONDS: Final = 1.0


class Goodbye:
    """The last that a run's clients hear.

    Args:
        downloads: Knows who has heard of the end.
        record: Where it goes that nobody waits to be told.
        observer: Told that somebody is waited for.
        hurry: Says that the server is to stop.
        lease_seconds: A client that was silent for so long is not there.
    """

    def __init__(
        self,
        downloads: Downloads,
        record: RunRecord,
        observer: Observer,
        hurry: Hurry,
        *,
        lease_seconds: float,
    ) -> None:
        self._downloads = downloads
        self._record = record
        self._observer = observer
        self._hurry = hurry
        self._lease_seconds = lease_seconds

    async def say(self) -> bool:
        """Give clients the time to hear that the run has ended.

        Returns:
            False if it was cut short: whoever starts the server again serves the end once more.
        """
        with suppress(RunStoppedError):
            await unless_stopped(self._wait_for_goodbyes(), self._hurry.asked)
            return True
        return not self._downloads.untold()

    async def record(self) -> None:
        """Put on record that nobody waits to be told; a full disk is not waited for."""
        record, untold = self._record, self._downloads.untold()
        record.journal.hurry()
        try:
            await asyncio.wrap_future(record.append(Kind.RUN_SETTLED, {"untold": untold}))
        except StorageError as error:
            _log.warning("the next start says once more how the run ended: %s", error.message)

    async def _wait_for_goodbyes(self) -> None:
        downloads = self._downloads
        seconds = min(_GOODBYE_SECONDS, self._lease_seconds)
        await downloads.all_told(first := min(_SAID_AFTER_SECONDS, seconds))
        if untold := downloads.untold():
            message = f"up to {seconds:g} s for {counted(len(untold), 'client')} to hear of the end"
            self._observer.observe(Observation(Topic.WAITING, {"message": message}))
            await downloads.all_told(seconds - first)
