# SPDX-License-Identifier: Apache-2.0
"""Leases: two heartbeats may be lost, and thousands of clients do not drown a server."""

from __future__ import annotations

import pytest

from mmar_runner.federation.leases import heartbeat_pause, least_lease


def test_two_of_a_leases_heartbeats_may_be_lost() -> None:
    assert heartbeat_pause(30.0) == 10.0
    assert 2 * heartbeat_pause(7.0) < 7.0


@pytest.mark.parametrize(("clients", "seconds"), [(0, 0.0), (1, 0.025), (4000, 100.0)])
def test_a_lease_is_long_enough_for_all_heartbeats(clients: int, seconds: float) -> None:
    assert least_lease(clients, 120.0) == seconds
    if clients:
        assert clients / heartbeat_pause(least_lease(clients, 120.0)) == pytest.approx(120.0)
