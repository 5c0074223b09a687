# SPDX-License-Identifier: Apache-2.0
"""Which round a run is said to be at."""

from __future__ import annotations

from mmar_runner.federation.run_status import RunStatus


def round_of(status: RunStatus, coming: int) -> int:
    """Return the round that is open or opens next; of a finished run its last, for none opens.

    Args:
        status: Of the run.
        coming: The round that is open, or that would open next.
    """
    return max(coming - 1, 0) if status is RunStatus.FINISHED else coming
