# SPDX-License-Identifier: Apache-2.0
"""The log of the simulation's server process: sent to the simulation, and logged there.

The simulation knows how much is to be said, and how; the server process has no screen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from mmar_runner.documents.words import printable


class SentLog(logging.Handler):
    """Sends every record on.

    Args:
        send: Gets a record as a JSON object; called by any thread.
    """

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, and its traceback as text."""
        shown = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        fields = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
        self._send({**fields, "msg": record.getMessage(), "exc_text": shown})


def log_here(fields: Mapping[str, Any]) -> None:
    """Log what a `SentLog` has sent, if this process says so much."""
    record = logging.makeLogRecord({**fields, "args": None})
    if record.exc_text:
        record.exc_text = "\n".join(map(printable, record.exc_text.split("\n")))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
