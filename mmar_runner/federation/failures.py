# SPDX-License-Identifier: Apache-2.0
"""Whether a client's task has failed before in its round, and of the same cause."""

from __future__ import annotations

from typing import Literal, TypeAlias

#: That a task failed for the first time in its round, or again of the same cause or another.
Again: TypeAlias = Literal["", "same", "another"]


class Failures:
    """The causes of one round's failures: those of the newest that something failed in."""

    def __init__(self) -> None:
        self._round: int | None = None
        self._causes: dict[str, str] = {}

    def note(self, round_number: int, cause: str, client: str = "") -> Again:
        """Note a failure, and return whether it is the first of its client in the round.

        Args:
            round_number: The round.
            cause: Why.
            client: Whose task it was; nothing to say where there is only one.
        """
        if round_number != self._round:
            self._round, self._causes = round_number, {}
        before = self._causes.get(client)
        self._causes[client] = cause
        if before is None:
            return ""
        return "same" if before == cause else "another"
