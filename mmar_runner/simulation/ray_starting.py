# SPDX-License-Identifier: Apache-2.0
"""Ray is imported and begins, or is joined: quietly, on loopback, reporting nothing to anybody."""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from mmar_runner.errors import RunFailedError, UsageError

#: Neither Ray's log nor its workers' goes where the simulation speaks.
_QUIET: Final[dict[str, Any]] = {"log_to_driver": False, "configure_logging": False}
#: How long a cluster may take to let this machine call it, in seconds.
_ANSWER_SECONDS: Final = 10.0
_MEND: Final = "pip install 'mmar-runner[ray]'"
#: What Ray is told before it is imported. Nothing of use is reported to anybody.
_ALWAYS: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_LOG_TO_STDERR": "0"}
#: Lets Ray take 127.0.0.1 for what it is (the name is older than what it does): otherwise it puts
#: the machine's address in its place, and listens to everybody.
_ON_LOOPBACK: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def started(processes: int, scratch: str) -> Any:
    """Start a cluster of this machine's own and return Ray.

    Args:
        processes: How many tasks it does at once.
        scratch: A folder for its files; its path is short.

    Raises:
        UsageError: RAY_MISSING, it is not installed.
        RunFailedError: It does not begin.
    """
    token = secrets.token_hex(32)  # which only this simulation's processes are given
    os.environ.update(_ALWAYS)
    os.environ.update(_ON_LOOPBACK, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    ray = _imported()
    try:
        with _own_signals():
            ray.init(
                "local",
                num_cpus=processes,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=scratch,
                **_QUIET,
            )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RunFailedError(f"Ray does not begin on this machine: {error}") from error
    return ray


def joined(address: str) -> Any:
    """Join the cluster at ``host:port`` and return Ray.

    Raises:
        UsageError: RAY_MISSING, it is not installed; RAY_ADDRESS, no cluster is there, or this
            machine is no node of it.
    """
    os.environ.update(_ALWAYS)
    try:
        if _peer(address).is_loopback:
            os.environ.update(_ON_LOOPBACK)
        ray = _imported()
        with _own_signals():
            ray.init(address, **_QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        msg = f"there is no Ray cluster at {address}, or this machine is no node of it"
        hint = "start this machine as a node of it: ray start --address HOST:PORT"
        raise UsageError(msg, reason="RAY_ADDRESS", hint=hint) from error
    return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the simulation's handlers: Ray's would abort a process that stops for three seconds."""
    yield
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if (handler := signal.getsignal(number)) is not None:
                signal.signal(number, handler)


def _peer(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return who listens at ``host:port``; asked where nobody does, Ray would try for minutes.

    Raises:
        OSError: Nobody does.
        ValueError: It is no address.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS) as found:
        return ipaddress.ip_address(found.getpeername()[0])


def _imported() -> Any:
    try:
        import ray  # noqa: PLC0415 - it need not be installed, and takes a second
        import ray.exceptions  # noqa: PLC0415
    except ImportError as error:
        msg = "--backend ray needs Ray, which is not installed"
        raise UsageError(msg, reason="RAY_MISSING", hint=_MEND) from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray
