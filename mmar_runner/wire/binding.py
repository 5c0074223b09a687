# SPDX-License-Identifier: Apache-2.0
"""Where a server listens: whether it may, and where it then really does."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import InUseError
from mmar_runner.wire.keepalive import UNIX

if TYPE_CHECKING:
    import grpc
    import grpc.aio


def bind(
    server: grpc.aio.Server, listen: str, *, credentials: grpc.ServerCredentials | None = None
) -> str:
    """Bind a server to ``host:port`` (port 0 picks a free one) or ``unix:/path``.

    Returns:
        The address it really listens on.

    Raises:
        InUseError: The address cannot be bound.
    """
    try:
        if credentials is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise _in_use(listen) from error
    if listen.startswith(UNIX):
        return listen
    return f"{listen.rpartition(':')[0]}:{port}"


def require_free(listen: str) -> None:
    """See whether `bind` will be able to, before anything is begun for it.

    Nothing is kept: somebody may still come in between, and `bind` says so then.

    Args:
        listen: As for `bind`; port 0 and ``unix:`` are not looked at.

    Raises:
        InUseError: None of the addresses can be bound.
    """
    host, _, port = listen.rpartition(":")
    if listen.startswith(UNIX) or not port.isdecimal() or not int(port):
        return
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise _in_use(listen) from error
    refused: OSError | None = None
    for family, _, _, _, address in found:
        refused = _refusal_of(family, address)
        if refused is None:  # one of a name's addresses is enough for gRPC
            return
    raise _in_use(listen) from refused


def _refusal_of(family: int, address: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As gRPC does: connections of a server that has ended are no other server.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _in_use(listen: str) -> InUseError:
    msg = f"cannot listen on {listen}: the address is in use or not one of this machine's"
    hint = (
        "stop the other server; or choose another port with --listen (0 picks a free one), and "
        "give every client that one: --server HOST:PORT"
    )
    return InUseError(msg, hint=hint, reason="ADDRESS_IN_USE")
