# SPDX-License-Identifier: Apache-2.0
"""Why a request failed, in the log of the child that it failed in.

The log is what the child writes to its standard error. It stays on this machine: of a failed
task its parent passes on one sentence.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.errors import TaskFailedError

_STANDARD_ERROR: Final = 2


def keep(request: Mapping[str, Any], error: TaskFailedError) -> None:
    """Write the traceback of a failed request, with the time; a disk that is full takes none.

    It goes past ``sys.stderr``, which a component may have closed or replaced.

    Args:
        request: What was asked.
        error: Why it failed.
    """
    params = request.get("params", {})
    what = ", ".join(
        [request["method"], *(f"{k} {params[k]}" for k in ("round", "client") if k in params)]
    )
    now = f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
    why = error.details.rstrip() or error.message
    left = memoryview(f"{now} {what} failed:\n{why}\n".encode(errors="replace"))
    with suppress(OSError):
        while left:
            left = left[os.write(_STANDARD_ERROR, left) :]
