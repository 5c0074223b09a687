# SPDX-License-Identifier: Apache-2.0
"""What the journal says of a run that no server has: how it stands, and at which round.

``status.json`` is written now and then, so that of a server that was killed it may be behind;
the journal never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from mmar_runner.errors import JournalError
from mmar_runner.server.records.replay import replay
from mmar_runner.server.status.round_of import round_of
from mmar_runner.storage.journal_reading import read_events

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.federation.run_status import RunStatus
    from mmar_runner.server.status.facts import FailureFacts, OutlierFacts


class RecordedFacts(TypedDict):
    """What a journal says of what ``status.json`` says, under the same names."""

    status: RunStatus
    reason: str
    round: int
    components_failed: list[FailureFacts]
    outliers: list[OutlierFacts]


def read_recorded(journal: Path) -> RecordedFacts:
    """Return how a run stands, and at which round.

    Raises:
        JournalError: There is no journal, no run in it, or nothing that can be read.
        DiskFullError: SQLite finds no room for what it needs to read it.
    """
    try:
        state = replay(read_events(journal))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        msg = f"{journal} holds an event that cannot be understood: {error!r}"
        raise JournalError(msg) from error
    number = round_of(state.status, state.round)
    return {
        "status": state.status,
        "reason": state.reason,
        "round": number,
        "components_failed": state.components_failed(),
        "outliers": state.outliers(),
    }
