# SPDX-License-Identifier: Apache-2.0
"""Which round a run is said to be at."""

from __future__ import annotations


def round_of(status: str, coming: int) -> int:
    """Return the round that is open or opens next; of a finished run its last, for none opens.

    Args:
        status: Of the run, as ``status.json`` has it.
        coming: The round that is open, or that would open next.
    """
    return max(coming - 1, 0) if status == "finished" else coming
