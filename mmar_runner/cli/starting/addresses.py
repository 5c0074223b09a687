# SPDX-License-Identifier: Apache-2.0
"""Addresses on the command line: their form, and which of them are loopback."""

from __future__ import annotations

import ipaddress
import socket

from mmar_runner.errors import UsageError


def require_loopback(address: str, *, option: str) -> None:
    """Accept ``HOST:PORT`` on this machine only, because nothing protects the bytes.

    Args:
        address: What was given.
        option: Where, for the sentence.

    Raises:
        UsageError: It is not an address, or not one of loopback.
    """
    host = require_address(address, option=option)
    if not is_loopback(host):
        msg = f"--insecure is refused for {host!r}: only loopback may speak plain text"
        raise UsageError(msg, hint="use 127.0.0.1, or a start-up kit with --kit")


def require_address(address: str, *, option: str) -> str:
    """Accept ``HOST:PORT`` and return the host.

    Args:
        address: What was given.
        option: Where, for the sentence.

    Raises:
        UsageError: It is not an address, or no host can have that name.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:  # noqa: PLR2004
        msg = f"{option} takes HOST:PORT, not {address!r}"
        raise UsageError(msg, hint=f"for example {option} 127.0.0.1:8002")
    try:
        host.encode("idna")
    except UnicodeError as error:
        msg = f"{option} takes HOST:PORT, and {host!r} is the name of no host: {error}"
        hint = "between two dots stand 1 to 63 letters, digits or hyphens"
        raise UsageError(msg, hint=hint) from error
    return host


def with_port(address: str) -> str:
    """Return an address whose port is one; 0 becomes a port that is free now.

    Args:
        address: ``HOST:PORT``, checked.
    """
    host, _, port = address.rpartition(":")
    if int(port):
        return address
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((bare, 0))
            return f"{host}:{probe.getsockname()[1]}"
    except OSError as error:
        msg = f"there is no free port at {host}: {error.strerror}"
        raise UsageError(msg, hint="give an address of this machine with --listen") from error


def is_loopback(host: str) -> bool:
    """Return True for localhost and loopback addresses of either family."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
