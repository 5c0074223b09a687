# SPDX-License-Identifier: Apache-2.0
"""The second signal kills at once, and gives the terminal back."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

#: A program that never ends in order, and says when it was asked to.
_PROGRAM = """
import asyncio
from mmar_runner.cli.views.live import LiveObserver
from mmar_runner.cli.starting.signals import stop_on_signals

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    print("ready", flush=True)
    await stop.wait()
    print("asked", flush=True)
    await asyncio.Event().wait()

with LiveObserver("server"):
    asyncio.run(main())
"""
_HIDDEN, _SHOWN = b"\x1b[?25l", b"\x1b[?25h"


def _until(screen: int, word: bytes, seen: bytes = b"") -> bytes:
    """Read from a screen until a word was there, or to the end without one."""
    while not word or word not in seen:
        try:
            block = os.read(screen, 4096)
        except OSError:  # the last program that held the terminal has ended
            block = b""
        if not block:
            assert not word, seen
            return seen
        seen += block
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_kills_and_shows_the_cursor(number: signal.Signals) -> None:
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    ) as program:
        os.close(terminal)
        try:
            seen = _until(screen, b"ready")
            assert _HIDDEN in seen
            program.send_signal(number)
            _until(screen, b"asked")
            program.send_signal(number)
            assert program.wait(timeout=30) == -number
            rest = _until(screen, b"")
        finally:
            program.kill()
            os.close(screen)
    assert _SHOWN in rest
    assert b"what was acknowledged is kept" in rest


#: Its signals come to a thread that is not the loop's, so that nothing interrupts the wait.
_ELSEWHERE = """
import asyncio, signal, threading
from mmar_runner.cli.starting.signals import stop_on_signals

def signalled():
    for _ in range(2):
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        asked.wait()

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    asyncio.get_running_loop().call_later(0.1, threading.Thread(target=signalled).start)
    await stop.wait()
    asyncio.get_running_loop().call_later(0.1, asked.set)
    await asyncio.Event().wait()

asked = threading.Event()
asyncio.run(main())
"""


def test_a_signal_is_seen_though_the_loop_waits() -> None:
    ended = subprocess.run([sys.executable, "-c", _ELSEWHERE], timeout=30, check=False)
    assert ended.returncode == -signal.SIGINT
