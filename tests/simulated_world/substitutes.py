# SPDX-License-Identifier: Apache-2.0
"""What takes the place of the real world in production code, while a simulated one runs.

Nothing else of the production code is replaced: clocks and random numbers, the calls of
``os``, gRPC's server and channel, SQLite, threads (by the event loops), and the two logs and
figures that are about a real process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Any
from unittest.mock import patch

from mmar_runner.client.connection import line
from mmar_runner.client.files import workspace as client_workspace
from mmar_runner.client.transfer import update_file
from mmar_runner.security.audit import log
from mmar_runner.server import opening, place, run
from mmar_runner.server.calls import announcement, servicer, streaming, windows
from mmar_runner.server.components import component_thread
from mmar_runner.server.parts import RunParts
from mmar_runner.server.records import model_file, summary
from mmar_runner.server.status.board import Board
from mmar_runner.server.telling.space import DiskWait
from mmar_runner.wire import faults
from tests.simulated_world.channel import SimulatedChannel
from tests.simulated_world.journal import SimulatedJournal
from tests.simulated_world.network import Network
from tests.simulated_world.os_calls import OsCalls
from tests.simulated_world.serving import SimulatedServer
from tests.simulated_world.world import EPOCH, CrashedError, World

#: Bytes of a chunk, and of the window of downloads, where models are sent in chunks.
_CHUNK = 96
_WINDOW = 192


class _Audit:
    """An audit log that keeps nothing; the real one has a thread, and tests of its own."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take what the real one takes."""

    def flush(self) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Close nothing."""

    def record(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""


@contextmanager
def installed(world: World, network: Network, *, inline: bool) -> Iterator[None]:
    """Have production code live in a simulated world until the block ends.

    Args:
        world: The clock, and where chance comes from.
        network: Between clients and server.
        inline: Whether models and updates travel inside of messages; else in chunks.
    """
    with ExitStack() as stack:
        stack.enter_context(OsCalls(world).installed())
        for owner, name, value in _replacements(world, network, inline=inline):
            stack.enter_context(patch.object(owner, name, value))
        for owner in (Board, DiskWait):  # a default was bound when the class was made
            defaults = owner.__init__.__kwdefaults__
            stack.enter_context(patch.dict(defaults, clock=lambda: EPOCH + world.now))
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, disabled)
        # The coroutines of a process that was killed complain while they are taken apart.
        stack.enter_context(patch.object(sys, "unraisablehook", _unraisable(sys.unraisablehook)))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        yield


def _replacements(
    world: World, network: Network, *, inline: bool
) -> Iterator[tuple[Any, str, Any]]:
    rng = world.rng
    yield time, "time", lambda: EPOCH + world.now
    yield time, "monotonic", lambda: world.now
    yield random, "random", rng.random
    yield secrets, "token_bytes", rng.randbytes
    yield secrets, "token_hex", lambda count: rng.randbytes(count).hex()
    yield uuid, "uuid4", lambda: uuid.UUID(int=rng.getrandbits(128), version=4)
    yield client_workspace, "boot_id", lambda: _boot_id(world)
    yield line, "open_channel", lambda *_, **__: SimulatedChannel(network)
    yield line, "look_for_tls", lambda *_: None  # it would ask the real network for a name
    yield place, "build_server", lambda *args, **named: SimulatedServer(network, *args, **named)
    yield place, "bind", lambda *_, **__: "simulated:1"
    yield run, "require_free", lambda *_: None
    yield log, "AuditLog", _Audit
    yield os, "getpid", lambda: 4711
    yield place, "trimming", nullcontext
    yield run, "raise_file_limit", lambda *_: None
    yield (
        opening,
        "Journal",
        lambda path, *, durability, **_: SimulatedJournal(world, path, durability),
    )
    yield (
        component_thread.ComponentThread,
        "post",
        lambda _self, work: asyncio.get_running_loop().call_soon(work),
    )
    yield run, "assemble", _mirrored(world, run.assemble)
    yield faults.Faults, "tell", lambda _self, method, error: _note(world, method, error)
    yield threading.Thread, "start", _no_thread
    yield summary, "peak_rss_bytes", lambda: 0
    if not inline:
        for module in (announcement, model_file, servicer):
            yield module, "INLINE_BYTES", 0
        for module in (update_file, streaming, windows):
            yield module, "CHUNK_BYTES", _CHUNK
        yield windows, "DOWNLOAD_BYTES", _WINDOW
        yield windows, "LEAST_CHUNK_BYTES", _CHUNK // 2


def _mirrored(world: World, assemble: Callable[..., RunParts]) -> Callable[..., RunParts]:
    """Have a run's journal know whose it is, so that it can compare; and its process."""

    def assembled(*args: Any, **named: Any) -> RunParts:
        parts = assemble(*args, **named)
        journal: Any = parts.opened.journal
        journal.mirror.parts = parts
        if world.current is not None:
            world.current.parts = parts
        return parts

    return assembled


def _unraisable(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    def hear(found: Any) -> None:
        text = str(found.exc_value)
        dead = isinstance(found.exc_value, CrashedError) or "ignored GeneratorExit" in text
        if not dead:
            hook(found)

    return hear


def _note(world: World, method: str, error: BaseException) -> None:
    """Note what a call of a process that lives raised and nobody foresaw."""
    if world.current is not None and world.current.alive:
        text = f"{method} failed unexpectedly: {error!r} at {_place(error.__traceback__)}"
        world.defects.append(text)


def _place(traceback: TracebackType | None) -> str:
    """Return file and line of the innermost frame."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def _no_thread(thread: threading.Thread) -> None:
    msg = f"no thread may run here, such as {thread.name}: its time is not the world's"
    raise AssertionError(msg)


def _boot_id(world: World) -> str:
    process = world.current
    return "" if process is None else f"{process.disk.root.name}, boot {process.disk.boots}"
