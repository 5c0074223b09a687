# SPDX-License-Identifier: Apache-2.0
"""Where it is found again what a component raised in the server's own process.

Components in children leave theirs in the logs of their children, in the same folder.
"""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


def keep_traceback(log: Path, what: str, error: BaseException | str) -> str:
    """Append a traceback to a log, and return a hint that names it.

    A disk that takes none must not cost what goes on without: then the hint is another one.

    Args:
        log: The file; its folder is made if it is not there.
        what: What failed, for the line above the traceback.
        error: What was raised, or its traceback.
    """
    shown = error if isinstance(error, str) else "".join(traceback.format_exception(error))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ} {what}:\n{shown}")
    except OSError as failure:
        _log.warning("a traceback is not kept: %s: %s", log, failure.strerror)
        return "with -v the traceback is shown"
    return f"the traceback is in {log}"
