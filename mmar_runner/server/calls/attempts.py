# SPDX-License-Identifier: Apache-2.0
"""How much a client may send in vain in one round. Pure.

An update that is bad fails its task, which is given again once. What is no update at all, its
digest wrong, broken off and begun anew under another id, would cost the server's line and
disk as often as its sender likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mmar_runner.errors import RefusedError

#: The reason of the refusal.
TOO_MANY_ATTEMPTS: Final = "TOO_MANY_ATTEMPTS"
#: Large updates of one client and round that may be spoiled: what an honest client sends over
#: a line that damages everything, three times for each of two attempts.
MOST_SPOILED: Final = 6
#: How many times the bytes of an update one client may send in a round.
MOST_COPIES: Final = 8


@dataclass(slots=True)
class _Tally:
    spoiled: int = 0
    received: int = 0


class Attempts:
    """Counts what clients send in the round that is open.

    Args:
        update_bytes: The most bytes that an update may have.
    """

    def __init__(self, update_bytes: int) -> None:
        self._most_bytes = MOST_COPIES * update_bytes
        self._round = -1
        self._tallies: dict[str, _Tally] = {}

    def check(self, client: str, round_number: int) -> None:
        """Refuse a client that has had its attempts.

        Args:
            client: Its name.
            round_number: The round that is open.

        Raises:
            RefusedError: TOO_MANY_ATTEMPTS.
        """
        if round_number != self._round:
            self._round = round_number
            self._tallies.clear()
        tally = self._tallies.get(client)
        if tally is None:
            return
        if tally.spoiled >= MOST_SPOILED or tally.received >= self._most_bytes:
            msg = (
                f"{client} has sent {tally.received} bytes in round {round_number} in vain, and "
                f"{tally.spoiled} updates that were none"
            )
            hint = "look at the line between client and server, and at the client's disk"
            raise RefusedError(msg, reason="TOO_MANY_ATTEMPTS", hint=hint)

    def forget(self, client: str) -> None:
        """Note that what a client sent counts: it may be asked for another one."""
        self._tallies.pop(client, None)

    def count(self, client: str, round_number: int, received: int, *, spoiled: bool) -> None:
        """Note what an attempt has brought; one of another round does not count.

        Args:
            client: Whose.
            round_number: The round it was for.
            received: Bytes that came.
            spoiled: Whether they were of no use.
        """
        if round_number == self._round:
            tally = self._tallies.setdefault(client, _Tally())
            tally.received += received
            tally.spoiled += spoiled
