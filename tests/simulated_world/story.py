# SPDX-License-Identifier: Apache-2.0
"""What a journal's events add up to, told apart from the production replay.

A run may go back: when its newest model is damaged or lost, the round that made it is done
again, of updates that are still there or of new ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.storage.journal import JournalEvent

#: A round and a client.
Key = tuple[int, str]


@dataclass
class Story:
    """What counts at the end of a journal.

    Attributes:
        closed: The summaries of the rounds, in order.
        counted: The record of every update that counts.
        revoked: Whose updates counted once and then no longer: they were withdrawn, or the
            run went back.
        withdrawn: Those of them that were withdrawn.
        removed: Those of them whose client was removed.
        removals: How many clients were removed, whether or not an update went with them.
        given_again: Whose task was given again although it had not failed.
        minimum: How many updates a round needs.
        lowest: How many at least it needed while a round was open; of each closed round.
        lost: Updates that were accepted, and were not on the disk when a server looked.
        twice: Updates that were accepted although another counted already.
        astray: Rounds that were opened or closed although it was another's turn.
        gone_back: How often the run went back.
    """

    closed: list[dict[str, Any]] = field(default_factory=list)
    counted: dict[Key, Any] = field(default_factory=dict)
    revoked: set[Key] = field(default_factory=set)
    withdrawn: set[Key] = field(default_factory=set)
    removed: set[Key] = field(default_factory=set)
    removals: int = 0
    given_again: set[Key] = field(default_factory=set)
    minimum: int = 1
    lowest: list[int] = field(default_factory=list)
    lost: list[Key] = field(default_factory=list)
    twice: list[Key] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    gone_back: int = 0

    def __post_init__(self) -> None:
        self._lowest = self.minimum

    @classmethod
    def of(cls, events: Iterable[JournalEvent], minimum: int = 1) -> Story:
        """Return the story of a journal.

        Args:
            events: Of the journal.
            minimum: How many updates a round of the run needs, as it is declared.
        """
        story = cls(minimum=minimum)
        for event in events:
            story._add(event.kind, event.data)
        return story

    def accepted_sets(self) -> tuple[tuple[str, ...], ...]:
        """Return who was added up, round by round."""
        return tuple(tuple(c["client"] for c in entry["contributions"]) for entry in self.closed)

    def bases(self) -> tuple[tuple[int, ...], ...]:
        """Return of which round's model each update was made that was added up."""
        return tuple(
            tuple(self.base(number, client) for client in clients)
            for number, clients in enumerate(self.accepted_sets())
        )

    def base(self, number: int, client: str) -> int:
        """Return of which round's model the update was made that counts in a round."""
        found: int = self.counted[number, client].get("base_round", number)
        return found

    def models(self) -> tuple[str, ...]:
        """Return the models' digests, round by round."""
        return tuple(entry["model_sha256"] for entry in self.closed)

    def _add(self, kind: str, data: Any) -> None:
        key = (data.get("round", -1), data.get("client", ""))
        match kind:
            case "round_opened" | "round_closed":
                if key[0] != len(self.closed):
                    self.astray.append(f"round {key[0]} after {len(self.closed) - 1}")
                if kind == "round_closed":
                    self.closed.append(data["summary"])
                    self.lowest.append(self._lowest)
                    self._lowest = self.minimum
            case "update_accepted":
                if key in self.counted:
                    self.twice.append(key)
                self.counted[key] = data
            case "update_refused":
                if self._revoke(key):
                    self.withdrawn.add(key)
                if data["reason"] == "UPDATE_LOST":
                    self.lost.append(key)
            case "checkpoint_lost":
                self._go_back(data["round"], data["kept"])
            case _:
                self._decided(kind, key, data)

    def _decided(self, kind: str, key: Key, data: Any) -> None:
        """Take what an administrator has decided."""
        match kind:
            case "client_removed":
                self.removals += 1
                if self._revoke(key):
                    self.removed.add(key)
            case "task_given_again":
                self.given_again.add(key)
            case "min_clients_set":
                self.minimum = data["number"]
                self._lowest = min(self._lowest, self.minimum)

    def _go_back(self, lost: int, kept: list[str]) -> None:
        """Undo the round whose result the lost model is."""
        self.gone_back += 1
        if lost != len(self.closed):
            self.astray.append(f"model {lost} is lost, and {len(self.closed)} rounds are closed")
            return
        self.closed.pop()
        self.lowest.pop()
        for key in list(self.counted):
            if key[0] == lost or (key[0] == lost - 1 and key[1] not in kept):
                self._revoke(key)

    def _revoke(self, key: Key) -> bool:
        """Count an update no more, under either of its rounds; return whether it had counted."""
        found = self.counted.pop(key, None)
        if found is None:
            return False
        self.revoked |= {key, (found.get("base_round", key[0]), key[1])}
        return True
