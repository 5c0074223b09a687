# SPDX-License-Identifier: Apache-2.0
"""The tutorial about operating a federation, followed to the letter in an empty folder."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial" / "operate-a-federation.md"
FENCE = re.compile(r"^```(\w+)(?: (\w+)(?:=(\S+))?)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
PORTS = ("8002", "8003")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(570)]


def free_ports():
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in (one, other)]


def with_free_ports(text):
    changed = dict(zip(PORTS, free_ports(), strict=True))
    assert all(port in text for port in changed)
    return re.sub("|".join(PORTS), lambda found: changed[found[0]], text)


class Reader:
    """Somebody who has this page, a terminal, and an empty folder with the samples."""

    def __init__(self, folder):
        self.folder = folder
        self.said = ""
        self.shells = []
        (folder / "mmars").symlink_to(ROOT / "mmars")

    def run(self, script):
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
            self.shells.append(shell.pid)
            self.said, _ = shell.communicate(timeout=300)
        assert "Traceback" not in self.said, self.said
        return shell.returncode

    def leave(self):
        """End whatever a block left in the background."""
        for group in self.shells:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def logs(self):
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in self.folder.glob("*.log"))


@pytest.fixture
def reader(tmp_path):
    someone = Reader(tmp_path)
    yield someone
    someone.leave()


def test_the_tutorial_works(reader, tmp_path):
    for language, action, value, text in FENCE.findall(PAGE.read_text()):
        if language == "sh":
            assert reader.run(text) == int(value or 0), f"{text}\n{reader.said}\n{reader.logs()}"
        elif action == "file":
            # Another test, or another program of the reader, may hold the ports of the text.
            (tmp_path / value).write_text(with_free_ports(text))
        elif action == "shows":
            for line in text.splitlines():
                assert line in reader.said, f"not said: {line}\n{reader.said}\n{reader.logs()}"
        else:
            raise AssertionError(f"nobody tries this block: {language} {action} {text}")
    summary = json.loads((tmp_path / "lead" / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert len(summary["rounds"]) == 400
    model = (tmp_path / "lead" / "final.safetensors").read_bytes()
    assert model == (tmp_path / "server/workspace/run_1/models/final.safetensors").read_bytes()
    assert "<html" in (tmp_path / "lead" / "report.html").read_text()
    for log in ("server", "north", "south", "annex"):
        assert "has ended" in (tmp_path / f"{log}.log").read_text()
