# SPDX-License-Identifier: Apache-2.0
"""Within which bounds an administrator may change how many updates a round needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import OrderError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class MinimumBounds:
    """What bounds the minimum of a run.

    Attributes:
        min_updates: How many updates the aggregator is defined for.
        max_num_clients: How many clients may be there.
        clients_per_round: How many work in a round; None if all do.
        sites: How many sites may take part; 0 if nobody knows.
        aggregator: What sentences call the aggregator.
    """

    min_updates: int = 1
    max_num_clients: int = 100
    clients_per_round: int | None = None
    sites: int = 0
    aggregator: str = "the aggregator"

    def check(self, number: int) -> None:
        """Refuse a number that no round could ever reach, or that the aggregator cannot use.

        Raises:
            OrderError: MIN_CLIENTS.
        """
        least = max(1, self.min_updates)
        if number < least:
            msg = f"a round cannot need {number} updates: {self.aggregator} needs {least} or more"
            hint = f"give a number of {least} or more"
            raise OrderError(msg, hint=hint, reason="MIN_CLIENTS")
        for most, what in self._most():
            if number > most:
                msg = f"a round cannot need {number} updates: {what}"
                raise OrderError(msg, hint=f"give a number of {most} or less", reason="MIN_CLIENTS")

    def _most(self) -> Iterator[tuple[int, str]]:
        if self.sites:
            yield self.sites, f"only {self.sites} sites may take part"
        yield self.max_num_clients, f"max_num_clients is {self.max_num_clients}"
        if self.clients_per_round is not None:
            yield self.clients_per_round, f"clients_per_round is {self.clients_per_round}"


def unreachable(number: int, waiting_for: str) -> OrderError:
    """Return the error of a number that the open round could not reach any more.

    Args:
        number: What was asked for.
        waiting_for: How the round stands, in a sentence.
    """
    msg = f"a round cannot need {number} updates now: tasks have failed ({waiting_for})"
    hint = "give the clients whose tasks failed their task again first, or give a smaller number"
    return OrderError(msg, hint=hint, reason="MIN_CLIENTS")
