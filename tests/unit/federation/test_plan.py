# SPDX-License-Identifier: Apache-2.0
"""What a plan means that says only what it must."""

from __future__ import annotations

from mmar_runner.federation.plan import RunPlan


def test_what_is_not_said_means_this() -> None:
    assert RunPlan(0, 5, 2, 100) == RunPlan(
        start_round=0,
        num_rounds=5,
        min_num_clients=2,
        max_num_clients=100,
        wait_after_min_clients=10.0,
        clients_per_round=None,
        round_deadline=None,
        seed=0,
        task_attempts=2,
        expected_clients=None,
    )
