# SPDX-License-Identifier: Apache-2.0
"""Takes note of components that fail without ending the run: on record, aloud, in a log."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from mmar_runner.errors import StorageError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.tracebacks import keep_traceback

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.records.failed_components import ComponentFailure
    from mmar_runner.server.records.run_record import RunRecord

_log = logging.getLogger(__name__)


class FailureDesk:
    """Takes note of failures, whichever thread they come from.

    Args:
        record: Of the run.
        observer: Whoever watches.
        logs: The folder of the run's logs.
    """

    def __init__(self, record: RunRecord, observer: Observer, logs: Path) -> None:
        self._record = record
        self._observer = observer
        self._file = logs / "components.log"
        self._loop = asyncio.get_running_loop()

    def note(self, failure: ComponentFailure, raised: BaseException | str | None) -> None:
        """Take note of a failure; see `NoteFailure`."""
        hint = None
        if raised is not None:
            hint = keep_traceback(self._file, failure.sentence, raised)
            shown = raised if isinstance(raised, BaseException) else None
            _log.info("%s", failure.sentence, exc_info=shown)
        # Whoever was left behind may fail when everything else is over.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, failure, hint)

    def _tell(self, failure: ComponentFailure, hint: str | None) -> None:
        facts = failure.to_json()
        try:
            self._record.append(Kind.COMPONENT_FAILED, facts)
        except StorageError as error:
            _log.warning("a failure is not on record: %s", error.message)
        self._observer.observe(Observation(Topic.COMPONENT_FAILED, {**facts, "hint": hint}))
