# SPDX-License-Identifier: Apache-2.0
"""The server side of the wire: a gRPC server around servicers that know no gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc.aio

from mmar_runner.wire import limits
from mmar_runner.wire.handlers import Handlers
from mmar_runner.wire.keepalive import keepalive

if TYPE_CHECKING:
    from mmar_runner.wire.gate import Gate
    from mmar_runner.wire.servicer import (
        AdminServicer,
        DiscoveryServicer,
        FederationServicer,
        HealthServicer,
        RequestsServicer,
    )

_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", limits.MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", limits.MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", limits.MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", limits.MAX_STREAMS_PER_CONNECTION),
    ("grpc.max_connection_idle_ms", limits.CONNECTION_IDLE_MS),
    ("grpc.server_handshake_timeout_ms", limits.HANDSHAKE_TIMEOUT_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", limits.LEAST_PROBE_PAUSE_MS),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", limits.SERVER_LOOKAHEAD_BYTES),
    ("grpc.so_reuseport", 0),  # else a second server silently shares the port
)


def build_server(
    servicer: FederationServicer,
    gate: Gate,
    *,
    discovery: DiscoveryServicer | None = None,
    requests: RequestsServicer | None = None,
    health: HealthServicer | None = None,
    max_connections: int | None = None,
    listen: str = "",
) -> grpc.aio.Server:
    """Return a gRPC server for clients; it has no port yet and is not started.

    Args:
        servicer: Answers the calls.
        gate: Decides who may call.
        discovery: Answers clients that have no MMAR yet; None has none to give.
        requests: Answers clients that wait for administrators; None has no such.
        health: Answers whoever looks whether the server works; None answers nobody.
        max_connections: More are closed as they come, strangers' among them, so that they
            cannot use up the files of this process; None takes what comes.
        listen: Where it is going to listen, as far as that decides about probes: see `keepalive`.
    """
    server = _server(max_connections, listen)
    handlers = Handlers(gate)
    server.add_generic_rpc_handlers(handlers.of_federation(servicer, requests))
    if discovery is not None:
        server.add_generic_rpc_handlers([handlers.of_discovery(discovery)])
    if health is not None:
        server.add_generic_rpc_handlers([handlers.of_health(health)])
    return server


def build_admin_server(
    servicer: AdminServicer,
    gate: Gate,
    *,
    health: HealthServicer | None = None,
    max_connections: int,
) -> grpc.aio.Server:
    """Return a gRPC server for administrators; it has no port yet and is not started.

    Args:
        servicer: Answers the calls.
        gate: Decides who may call.
        health: Answers whoever looks whether the server works; None answers nobody.
        max_connections: More are closed as they come.
    """
    server = _server(max_connections)
    handlers = Handlers(gate)
    server.add_generic_rpc_handlers([handlers.of_admin(servicer)])
    if health is not None:
        server.add_generic_rpc_handlers([handlers.of_health(health)])
    return server


def _server(max_connections: int | None, listen: str = "") -> grpc.aio.Server:
    options = [*_SERVER_OPTIONS, *keepalive(listen)]
    if max_connections is not None:
        options.append(("grpc.max_allowed_incoming_connections", max_connections))
    return grpc.aio.server(options=options)
