# SPDX-License-Identifier: Apache-2.0
"""What strangers say, made fit for journals and screens."""

from __future__ import annotations


def plain(text: str, limit: int) -> str:
    """Return the beginning of a text with a space for whatever is not printable.

    A terminal obeys control characters; whoever watches a run must not be at the mercy
    of its clients.

    Args:
        text: What somebody said.
        limit: Letters to keep.
    """
    return "".join(c if c.isprintable() else " " for c in text[:limit])
