# SPDX-License-Identifier: Apache-2.0
"""Starting a child process, with the two sockets that tie it to its parent.

A child is started by exec, never by fork alone, as the leader of its own session.
It holds two sockets: *control* carries requests and replies, and *lifeline* carries
nothing at all. When the parent's end of the lifeline closes, for whatever reason,
the kernel kills the child's whole process group.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmar_runner.children.messages import LINE_LIMIT
from mmar_runner.children.spec import ChildSpec, child_environment
from mmar_runner.errors import ChildDiedError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """A child process and what ties it to its parent.

    Attributes:
        process: The process.
        reader: What it writes to its control socket.
        writer: What it reads from there.
        lifeline: The parent's end: while it is open, the child lives.
    """

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    lifeline: socket.socket


async def start_process(spec: ChildSpec, log: Path) -> StartedProcess:
    """Start a child; it waits then for what is asked of it.

    Args:
        spec: What the child is.
        log: The file to which its stdout and stderr are appended.

    Raises:
        ChildDiedError: The process could not be started.
    """
    control, childs_control = socket.socketpair()
    lifeline, childs_lifeline = socket.socketpair()
    try:
        process = await _exec(spec, log, (childs_control.fileno(), childs_lifeline.fileno()))
    except OSError as error:
        control.close()
        lifeline.close()
        message = f"the child process for {spec.role} cannot be started: {error}"
        raise ChildDiedError(message) from error
    finally:
        childs_control.close()
        childs_lifeline.close()
    reader, writer = await asyncio.open_connection(sock=control, limit=LINE_LIMIT)
    return StartedProcess(process, reader, writer, lifeline)


def _log_file(log: Path) -> BinaryIO:
    """Open a child's log; a disk that takes none must not cost the child's work."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError as error:
        _log.warning("what a child says is not kept: %s: %s", log, error.strerror)
        return Path(os.devnull).open("ab")


async def _exec(spec: ChildSpec, log: Path, fds: tuple[int, int]) -> asyncio.subprocess.Process:
    with _log_file(log) as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the current folder is not on the path: only installed code is found
            "-m",
            "mmar_runner.children",
            *map(str, fds),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_environment(spec),
            cwd=spec.context.workspace or log.parent,
            pass_fds=fds,
            start_new_session=True,
        )
