# SPDX-License-Identifier: Apache-2.0
"""Leases: for how long a client is believed to be alive that nothing is heard of. Pure."""

from __future__ import annotations

from typing import Final

#: Heartbeats in the time of one lease, so that two of them may be lost.
_HEARTBEATS: Final = 3


def heartbeat_pause(lease_seconds: float) -> float:
    """Return the time from one heartbeat of a client to its next, in seconds."""
    return lease_seconds / _HEARTBEATS


def least_lease(clients: int, heartbeats_per_second: float) -> float:
    """Return how long a lease must be for clients to send no more heartbeats, in seconds.

    Args:
        clients: How many there are.
        heartbeats_per_second: How many all of them together may send.
    """
    return _HEARTBEATS * clients / heartbeats_per_second
