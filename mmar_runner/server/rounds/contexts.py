# SPDX-License-Identifier: Apache-2.0
"""What an aggregator is told of the round that it aggregates."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.interfaces.aggregator import AggregationContext

if TYPE_CHECKING:
    from mmar_runner.federation.sites import Sites
    from mmar_runner.server.records.run_state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundContexts:
    """Makes the context of a round from what is on record.

    Attributes:
        state: Of the run.
        num_rounds: The round at which the run stops; negative if it never does.
        start_round: The run's first round.
        minimum: The MMAR's ``min_num_clients``.
        sites: Who may take part, if anybody lists them.
        workspace_secret: Of the server.
        known_key: In its place, what a simulation makes of its seed: noise can be had again.
    """

    state: RunState
    num_rounds: int
    start_round: int
    minimum: int
    sites: Sites
    workspace_secret: bytes
    known_key: bytes | None = None

    def of(self, number: int) -> AggregationContext:
        """Return the context of the round to go on with.

        Args:
            number: The round.
        """
        known = self.state.clients.keys() | self.state.last_round.keys()
        return AggregationContext(
            round=number,
            num_rounds=self.num_rounds,
            start_round=self.start_round,
            participants=len(self.state.participants),
            population=len(self.sites.admitted) or len(known),
            secret=self._secret(number),
            minimum=self.minimum,
        )

    def _secret(self, number: int) -> bytes:
        """Return the round's secret, from which nobody learns the server's or another round's.

        The epoch is in it: a run that has gone back does a round again with other updates, and
        noise that was added to both of them could be subtracted.
        """
        if self.known_key is not None:
            return hmac.digest(self.known_key, str(number).encode(), "sha256")
        said = ("mmar_runner aggregation", self.state.run_id, self.state.epoch, str(number))
        return hmac.digest(self.workspace_secret, "\0".join(said).encode(), "sha256")
