# SPDX-License-Identifier: Apache-2.0
"""What a living server knows, held against what its journal adds up to.

A server is two machines: what lives, and what `replay` makes of the journal when it is started
again. They have to say the same after every event, not only when somebody dies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.replay import apply_event
from mmar_runner.server.records.run_state import RunState

if TYPE_CHECKING:
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.record import AcceptedUpdate, CountedUpdate
    from mmar_runner.storage.journal_reading import JournalEvent


class Mirror:
    """Adds up what is appended to a journal, and compares it with the run that appends.

    Args:
        events: What the journal held when it was opened.
        tell: Gets a sentence for every difference.
    """

    def __init__(self, events: list[JournalEvent], tell: Callable[[str], None]) -> None:
        self._state = RunState()
        self._tell = tell
        self._last = ""
        self.parts: RunParts | None = None
        for event in events:
            apply_event(self._state, Kind(event.kind), event.data, event.seq)

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add up one event more; its number is nobody's business here."""
        apply_event(self._state, Kind(kind), data, 0)
        self._last = kind

    def compare(self) -> None:
        """Tell what a run that goes on knows and its journal does not, or the other way."""
        if self.parts is None or self.parts.coordinator.ended.done():
            return
        for what, lives, recorded in self._pairs(self.parts):
            if lives != recorded:
                self._tell(f"after {self._last} {what} is {lives}, and on record {recorded}")

    def _pairs(self, parts: RunParts) -> list[tuple[str, Any, Any]]:
        coordinator, state = parts.coordinator, self._state
        current = coordinator.round
        if current is None or current.number != state.round:
            current = coordinator._restored  # it is what the next round begins with
        best = coordinator._closer.best._best
        return [
            ("the round", coordinator.next_round, state.round),
            ("what is accepted", _updates(current.accepted), _updates(state.accepted)),
            ("what is rejected", list(current.rejected), state.rejected),
            ("the last round of each", coordinator._ledger._last_round, state.last_round),
            ("the best", best and (best.round, best.score), state.best),
            ("who is there", set(parts.members.present()), set(state.clients)),
        ]


def _updates(counted: Mapping[str, CountedUpdate]) -> dict[str, AcceptedUpdate]:
    return {name: one.update for name, one in counted.items()}
