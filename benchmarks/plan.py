# SPDX-License-Identifier: Apache-2.0
"""How much of a case is measured, and with what."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from floor import FloorResult
    from ours import OursResult
    from tls import TlsFolder


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Rounds of a federation, the first included; None takes the case's own.
        repeats: How often floor and program take turns; None takes the case's own.
        keys: The keys and certificates of this run, made when asked for.
        tls: Federations run with them.
    """

    rounds: int | None
    repeats: int | None
    keys: TlsFolder
    tls: bool = False

    @property
    def encrypted(self) -> TlsFolder | None:
        """The keys, if federations are to run with them."""
        return self.keys if self.tls else None


def median(results: list[FloorResult] | list[OursResult]) -> float:
    """Return the median seconds of all the rounds of all turns."""
    return statistics.median(second for result in results for second in result.rounds)


def memory(results: list[OursResult]) -> dict[str, float]:
    """Return in MiB the peaks of the turn in which each was highest."""
    return {
        "server": mib(max(result.server_rss for result in results)),
        "session": mib(max(result.session_rss for result in results)),
        "trainer": mib(max(result.trainer_rss for result in results)),
        "all": mib(max(result.total_rss for result in results)),
    }


def mib(count: float) -> float:
    """Return bytes as MiB."""
    return count / (1 << 20)
