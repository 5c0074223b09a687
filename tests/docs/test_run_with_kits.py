# SPDX-License-Identifier: Apache-2.0
"""The page about a federation with kits, followed to the letter in an empty folder."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmar_runner.security.audit.reading import read_audit

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "run-a-federation-with-kits.md"
FENCE = re.compile(r"^```(\w+)(?: (\w+)(?:=(\S+))?)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
PORT = "8002"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Reader:
    """Somebody who has this page, a terminal, and an empty folder with the samples."""

    def __init__(self, folder):
        self.folder = folder
        self.said = ""
        (folder / "mmars").symlink_to(ROOT / "mmars")

    def run(self, script):
        # `set -e` does not see processes in the background: each is waited for by itself.
        script = script.replace("\nwait\n", '\nfor job in $(jobs -p); do wait "$job"; done\n')
        with subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as shell:
            try:
                self.said, _ = shell.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                # With all that it has in the background.
                os.killpg(shell.pid, signal.SIGKILL)
                raise
        assert "Traceback" not in self.said, self.said
        return shell.returncode


def test_the_page_works(tmp_path):
    reader, port = Reader(tmp_path), free_port()
    for language, action, value, text in FENCE.findall(PAGE.read_text()):
        if language == "sh":
            assert reader.run(text) == int(value or 0), f"{text}\n{reader.said}"
        elif action == "file":
            # Another test, or another program of the reader, may hold the port of the text.
            assert PORT in text
            (tmp_path / value).write_text(text.replace(PORT, port))
        elif action == "shows":
            for line in text.splitlines():
                assert line in reader.said, f"not said: {line}\n{reader.said}"
        else:
            raise AssertionError(f"nobody tries this block: {language} {action} {text}")
    for number, sites in ((1, ["north", "south"]), (2, ["north"])):
        run = tmp_path / "server" / "workspace" / f"run_{number}"
        summary = json.loads((run / "summary.json").read_text())
        assert summary["status"] == "finished"
        assert len(summary["rounds"]) == 3
        for entry in summary["rounds"]:
            assert sorted(part["client"] for part in entry["contributions"]) == sites
    audit = read_audit(tmp_path / "south" / "workspace" / "south" / "audit.jsonl")
    assert all(line["decision"] != "refused" for line in audit if line["action"] == "mmar.run")
