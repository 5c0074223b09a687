# SPDX-License-Identifier: Apache-2.0
"""Log messages: where they go, how they look, and which levels an MMAR may ask for.

An MMAR's ``resources/log.config`` is read as data. The standard library would execute
expressions that stand in it; here only the names of levels are taken.
"""

from __future__ import annotations

import configparser
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LEVELS: Final = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
}
_VERBOSITY: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
_MAX_CONFIG_BYTES: Final = 256 << 10


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
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


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
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_VERBOSITY[min(verbose, len(_VERBOSITY) - 1)])


def read_log_levels(path: Path) -> Mapping[str, int]:
    """Read the levels that a Clara ``log.config`` sets, as data.

    Args:
        path: An INI file with sections ``logger_NAME`` that hold ``level`` and, unless
            it is the root logger, ``qualname``. Handlers, formatters and whatever else
            the file names are ignored.

    Returns:
        Logger name (empty for the root) to level. A file that cannot be read as INI, or
        a level nobody knows, gives no entry.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            return {}
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    levels: dict[str, int] = {}
    for name in parser.sections():
        if name.startswith("logger_"):
            section = parser[name]
            level = _LEVELS.get(section.get("level", "").strip().upper())
            root = name == "logger_root"
            logger = "" if root else section.get("qualname", name.removeprefix("logger_"))
            if level is not None:
                levels[logger.strip()] = level
    return levels


def apply_log_levels(levels: Mapping[str, int]) -> None:
    """Set loggers' levels; the root's is left to ``-v``, which the user asked for."""
    for name, level in levels.items():
        if name:
            logging.getLogger(name).setLevel(level)
