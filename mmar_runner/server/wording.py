# SPDX-License-Identifier: Apache-2.0
"""What strangers say, made fit for journals and screens."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache


def plain(text: str, limit: int) -> str:
    """Return the beginning of a text with a space for whatever is not printable.

    A terminal obeys control characters; whoever watches a run must not be at the mercy
    of its clients.

    Args:
        text: What somebody said.
        limit: Letters to keep.
    """
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def utc(seconds: float) -> str:
    """Return a time as ISO 8601 says it, to the second: ``2026-11-28T05:14:03Z``.

    Args:
        seconds: Since 1970.
    """
    return _second(math.floor(seconds))


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    # The thousands of clients of one status were heard of within some seconds.
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
