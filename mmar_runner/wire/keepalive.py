# SPDX-License-Identifier: Apache-2.0
"""Silent connections are probed, so that a line that was cut is noticed on both sides."""

from __future__ import annotations

from typing import Final

from mmar_runner.wire import limits

#: What a Unix socket's address begins with.
UNIX: Final = "unix:"
#: gRPC's word for never, in ms.
_NEVER_MS: Final = (1 << 31) - 1


def keepalive(address: str) -> list[tuple[str, int]]:
    """Return the options of a channel, or a server, that say when a connection is probed.

    Between processes of one machine none is: the kernel tells of each end, and the probes of ten
    thousand idle connections would be a thousand messages a second.

    Args:
        address: Of the server.
    """
    time_ms = _NEVER_MS if address.startswith(UNIX) else limits.KEEPALIVE_TIME_MS
    return [
        ("grpc.keepalive_time_ms", time_ms),
        ("grpc.keepalive_timeout_ms", limits.KEEPALIVE_TIMEOUT_MS),
        # It is this that decides about a probe, and its default is a minute.
        ("grpc.http2.ping_timeout_ms", limits.KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
