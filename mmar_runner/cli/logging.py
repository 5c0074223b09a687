# SPDX-License-Identifier: Apache-2.0
"""Log messages: where they go, how they look, and which levels an MMAR may ask for.

An MMAR's ``resources/log.config`` is data (``mmar/checks/logging_config.py`` reads it): the
standard library would execute expressions that stand in it; here only the names of
levels are taken.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.cli.output import harmless_json
from mmar_runner.documents.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERBOSITY: Final = (logging.WARNING, logging.INFO, logging.DEBUG)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, if any, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:  # of another process of ours: there is only the text
            entry["traceback"] = record.exc_text
        elif record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return harmless_json(json.dumps(entry, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """One line a record, and its traceback; a terminal shows all of it and obeys nothing.

    Its time is UTC, as that of progress is.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - the library's name
        """Return a record's time."""
        return f"{datetime.fromtimestamp(record.created, tz=UTC):{datefmt or '%H:%M:%S'}}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the record without its traceback as one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """Return a traceback."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def configure_logging(*, verbose: int, log_format: str) -> None:
    """Send log messages to standard error.

    Args:
        verbose: 0 shows warnings and worse, 1 adds information, 2 debugging messages.
        log_format: ``text`` or ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        handler.setFormatter(TextFormatter(line))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_VERBOSITY[min(verbose, len(_VERBOSITY) - 1)])


def apply_log_levels(levels: Mapping[str, str]) -> None:
    """Set loggers' levels by name; the root's is left to ``-v``, which the user asked for."""
    for logger, level in levels.items():
        if logger:
            logging.getLogger(logger).setLevel(level)
