# SPDX-License-Identifier: Apache-2.0
"""Somebody who follows a page to the letter in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FENCE: Final = re.compile(r"^```(\w+)(?: (\w+)(?:=(\S+))?)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def free_ports(count: int) -> list[str]:
    """Return ports of loopback that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


class Reader:
    """Somebody who has a page, a terminal, and an empty folder with the samples.

    Args:
        folder: The folder.
        ports: Those of the page's text: another test, or another program of the reader, may
            hold them, so that free ones stand for them.
        seconds: How long a block may take.
    """

    def __init__(self, folder: Path, ports: Sequence[str], *, seconds: float = 300) -> None:
        self.folder = folder
        self.said = ""
        self._seconds = seconds
        self._ports = dict(zip(ports, free_ports(len(ports)), strict=True))
        self._shells: list[int] = []
        (folder / "mmars").symlink_to(ROOT / "mmars")

    def follow(self, page: Path) -> None:
        """Do what a page says, block by block; fail where it does not come out so."""
        for language, action, value, text in FENCE.findall(page.read_text()):
            if language == "sh":
                assert self.run(text) == int(value or 0), f"{text}\n{self.said}\n{self.logs()}"
            elif action == "file":
                (self.folder / value).write_text(self._with_free_ports(text))
            elif action == "shows":
                for line in text.splitlines():
                    assert line in self.said, f"not said: {line}\n{self.said}\n{self.logs()}"
            else:
                raise AssertionError(f"nobody tries this block: {language} {action} {text}")

    def run(self, script: str) -> int:
        """Run a block in a shell, keep what is said, and return the exit code."""
        with subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "HOME": str(self.folder),
                "PYTHONPATH": str(ROOT),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as shell:
            self._shells.append(shell.pid)
            self.said, _ = shell.communicate(timeout=self._seconds)
        assert "Traceback" not in self.said, self.said
        return shell.returncode

    def leave(self) -> None:
        """End whatever a block left in the background."""
        for group in self._shells:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def logs(self) -> str:
        """Return what the blocks have written into logs."""
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in self.folder.glob("*.log"))

    def _with_free_ports(self, text: str) -> str:
        assert any(port in text for port in self._ports)
        return re.sub("|".join(self._ports), lambda found: self._ports[found[0]], text)
