# SPDX-License-Identifier: Apache-2.0
"""What a living server knows, held against what its journal adds up to.

A server that is started again knows what `replay` makes of the journal. What lives has to say the
same after every event, not only when somebody dies: the state that it keeps, what its machine
decides on, and who is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mmar_runner.server.records.record import Kind, OnRecord
from mmar_runner.server.records.replay import apply_event
from mmar_runner.server.records.run_state import RoundInputs, RunState

if TYPE_CHECKING:
    from mmar_runner.server.parts import RunParts
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
            apply_event(self._state, Kind(event.kind), event.data, OnRecord(event.seq))

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add up one event more; its number is nobody's business here."""
        apply_event(self._state, Kind(kind), data, OnRecord(0))
        self._last = kind

    def compare(self) -> None:
        """Tell what a run that goes on knows and its journal does not, or the other way."""
        if self.parts is None or self.parts.coordinator.ended.done():
            return
        for what, lives, recorded in self._pairs(self.parts):
            if lives != recorded:
                self._tell(f"after {self._last} {what} is {lives}, and on record {recorded}")

    def _pairs(self, parts: RunParts) -> Iterator[tuple[str, Any, Any]]:
        """Yield what lives, field by field, and what decides, beside what is on record."""
        lives, state = _plain(parts.opened.record.state), _plain(self._state)
        yield from ((name, lives[name], state[name]) for name in state)
        yield "the round to decide on", parts.coordinator.next_round, self._state.round
        yield "who is there", set(parts.members.present()), set(self._state.clients)
        book = parts.coordinator._machine._open
        if book is not None and not book.closed:  # one that is closed is told of what it loses
            yield "who has answered", book.accepted, set(self._state.accepted)


def _plain(state: RunState) -> dict[str, Any]:
    """Return what a state holds, without its past and numbers of what is not on record yet."""
    plain = {field.name: getattr(state, field.name) for field in fields(state)}
    del plain["past"]
    closed = state.closed or RoundInputs()
    plain["accepted"] = {name: one.update for name, one in state.accepted.items()}
    plain["closed"] = {name: one.update for name, one in closed.accepted.items()}
    return plain | {"closed, rejected": closed.rejected, "closed, for": closed.participants}
