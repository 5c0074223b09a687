# SPDX-License-Identifier: Apache-2.0
"""A child dies with its parent, whole and at once, whatever it is doing."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading


def hold(fd: int) -> None:
    """Tie this process group to the other end of a socket that carries nothing.

    The kernel itself sends SIGKILL to the group when the other end closes, so
    native code that never lets Python run again cannot outlive the parent either.
    Where a kernel cannot do that, a thread watches.

    Args:
        fd: An inherited socket; it stays open until the process ends.
    """
    # A program started from here must not keep it open.
    os.set_inheritable(fd, False)  # noqa: FBT003 - takes no keyword
    try:
        kill_by_signal(fd)
    except OSError:
        kill_by_thread(fd)


def kill_by_signal(fd: int) -> None:
    """Let the kernel kill this process group when ``fd`` reports anything.

    Raises:
        OSError: The kernel cannot do that.
    """
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    # The other end may have closed before the kernel was asked.
    watched = socket.socket(fileno=fd)
    try:
        watched.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        watched.detach()
    else:
        os.killpg(0, signal.SIGKILL)


def kill_by_thread(fd: int) -> None:
    """Let a thread kill this process group when ``fd`` reports anything."""
    threading.Thread(target=_watch, args=(fd,), daemon=True, name="lifeline").start()


def _watch(fd: int) -> None:
    os.read(fd, 1)
    os.killpg(0, signal.SIGKILL)
