# SPDX-License-Identifier: Apache-2.0
"""A command in a pseudo-terminal: a test types and reads what a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_SECONDS = 25.0
#: Sequences that a terminal obeys and does not show.
_OBEYED = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[=>()][0-9A-B]?|\r")
#: Where the cursor is: line editors ask, and a terminal answers.
_ASKED = b"\x1b[6n"


class Terminal:
    """``mmar-runner`` in a terminal of its own. Use it as a context manager.

    Args:
        arguments: What follows ``mmar-runner``.
        folder: Where it runs.
        environment: What is added to this process's environment.
        size: Lines and columns.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        size: tuple[int, int] = (40, 120),
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
        )
        os.close(theirs)
        self._raw = bytearray()
        self._seen = 0
        self._came = threading.Condition(threading.RLock())
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            os.close(self._ours)

    @property
    def raw(self) -> bytes:
        """Everything that came, with what a terminal obeys."""
        with self._came:
            return bytes(self._raw)

    @property
    def text(self) -> str:
        """Everything that came, as it is read."""
        return _OBEYED.sub("", self.raw.decode(errors="replace"))

    def type(self, text: str) -> None:
        """Press keys; what came before is not looked at again."""
        self._seen = len(self.text)
        os.write(self._ours, text.encode())

    def line(self, text: str) -> None:
        """Type a line."""
        self.type(f"{text}\r")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def expect(self, text: str, *, after: str = "", timeout: float = _SECONDS) -> str:
        """Wait until a text is shown after the last keys; return what was shown since then.

        Args:
            text: What is waited for.
            after: Only where it is shown after this: a prompt, for instance, is drawn once more
                when its line has been typed.
            timeout: In seconds.

        Raises:
            AssertionError: It was not, in time.
        """
        deadline = time.monotonic() + timeout
        with self._came:
            while text not in _behind(after, shown := self.text[self._seen :]):
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(f"no {text!r} in:\n{self.text}")
                self._came.wait(left)
        return shown

    def wait(self, *, timeout: float = _SECONDS) -> int:
        """Wait until it ends and return its exit code."""
        return self.process.wait(timeout)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                data = b""
            with self._came:
                self._raw += data
                self._ended = not data
                self._came.notify_all()
            if not data:
                return
            if _ASKED in data:
                with suppress(OSError):
                    os.write(self._ours, b"\x1b[1;1R")


#: Takes the terminal as its own, so that Ctrl-C reaches it, and begins.
_BEGIN = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from mmar_runner.cli.main import main
main()
"""


def _behind(first: str, shown: str) -> str:
    return shown.partition(first)[2] if first else shown
