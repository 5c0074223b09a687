# SPDX-License-Identifier: Apache-2.0
"""What a run has on record, and what that adds up to, as long as a server has the run.

A server that lives and one that starts again know the same by the same functions: whatever is
appended to the journal is applied to the state at once, as `replay` would apply it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.server.records.replay import apply_event

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from mmar_runner.server.records.record import Kind
    from mmar_runner.server.records.run_state import RunState
    from mmar_runner.storage.journal import Journal


class RunRecord:
    """A journal and the state that its events add up to. Appended to by one thread at a time.

    The state is ahead of the disk by what is still to be written: what must not be told
    before it is durable waits on the future of its event. If an event cannot be written, no
    later one is, and the run is stopped.

    Args:
        journal: Open.
        state: What its events add up to.

    Attributes:
        journal: The same.
        state: What everything that was appended adds up to; nobody else changes it.
    """

    def __init__(self, journal: Journal, state: RunState) -> None:
        self.journal = journal
        self.state = state

    def append(
        self, kind: Kind, data: Mapping[str, Any], *, blob: bytes | None = None
    ) -> Future[int]:
        """Append an event to the journal, and add it to the state.

        Args:
            kind: What it is.
            data: A JSON object.
            blob: Bytes to keep with it.

        Returns:
            See `Journal.append`.

        Raises:
            JournalError: The journal is closed; nothing was added.
        """
        recorded = self.journal.append(kind, data, blob=blob)
        apply_event(self.state, kind, data, recorded)
        return recorded
