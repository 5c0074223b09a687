# SPDX-License-Identifier: Apache-2.0
"""How much of its tasks' logs a client may put on the record of a run. Pure.

One failure brings little, and a run may have thousands of rounds: whoever fails in each of
them with a log that is as long as may be would fill the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.security.redaction import bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Rounds of one client whose failures keep their log, for as long as the server is up.
ROUNDS_WITH_LOG: Final = 32


class FailureLogs:
    """Cuts what clients send, and counts the rounds for which they did."""

    def __init__(self) -> None:
        self._rounds: dict[str, set[int]] = {}

    def kept(self, client: str, round_number: int, lines: Iterable[str]) -> tuple[str, ...]:
        """Return the lines that go on record.

        Args:
            client: Whose failure it is.
            round_number: The round it says it is about.
            lines: What it sent, of which nothing is believed.
        """
        log = bounded(lines)
        if not log:
            return ()
        rounds = self._rounds.setdefault(client, set())
        if round_number not in rounds and len(rounds) >= ROUNDS_WITH_LOG:
            return ()
        rounds.add(round_number)
        return log
