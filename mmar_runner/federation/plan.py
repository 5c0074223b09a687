# SPDX-License-Identifier: Apache-2.0
"""What a run is to do, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The rounds of a run; times in seconds.

    Attributes:
        start_round: The first round.
        num_rounds: The round to stop at; negative never stops.
        min_num_clients: Of how many sites updates are needed to close a round.
        max_num_clients: Clients that may be there at once.
        wait_after_min_clients: How long a round stays open after the min-th update.
        clients_per_round: How many clients a round invites; None for all.
        round_deadline: When an open round closes if it has enough updates; None never.
        seed: The run's seed.
        task_attempts: How often a failing task is given in one round.
        expected_clients: The first round waits until so many are there; None for no
            more than the minimum.
    """

    start_round: int
    num_rounds: int
    min_num_clients: int
    max_num_clients: int
    wait_after_min_clients: float = 10.0
    clients_per_round: int | None = None
    round_deadline: float | None = None
    seed: int = 0
    task_attempts: int = 2
    expected_clients: int | None = None
