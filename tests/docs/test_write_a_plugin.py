# SPDX-License-Identifier: Apache-2.0
"""The page for plugin authors, followed to the letter in an empty folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "write-a-plugin.md"
FENCE = re.compile(r"^```(\w+)(?: (\w+)=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Reader:
    """Somebody who has this page, a terminal and an empty folder."""

    def __init__(self, folder):
        self.folder = folder
        self.ran = []
        packages = folder / "packages"
        self.environment = {
            **os.environ,
            # What pip installs goes into a folder of this test, not into the environment.
            "PIP_TARGET": str(packages),
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONPATH": str(packages),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, line):
        done = subprocess.run(
            shlex.split(line),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.ran.append(line)
        return done

    def merge(self, path, text):
        file = self.folder / path
        file.write_text(json.dumps({**json.loads(file.read_text()), **json.loads(text)}))


def test_the_page_works(tmp_path):
    reader = Reader(tmp_path)
    for language, action, path, text in FENCE.findall(PAGE.read_text()):
        if language == "sh":
            for line in text.splitlines():
                done = reader.run(line)
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        elif action == "file":
            assert (tmp_path / path).read_text() == text, f"{path} differs from the page"
        elif action == "write":
            (tmp_path / path).write_text(text)
        elif action == "merge":
            reader.merge(path, text)
        elif action == "wrong":
            reader.merge(path, text)
            done = reader.run("mmar-runner validate-mmar my-study")
            assert done.returncode == 1
            assert "config_fed_server.json" in done.stdout + done.stderr
            assert "fraction" in done.stdout + done.stderr
        elif language == "toml":
            assert text in (tmp_path / "inner-mean/pyproject.toml").read_text()
        else:
            raise AssertionError(f"nobody tries this block: {language} {text}")
    assert any(line.startswith("mmar-runner simulate") for line in reader.ran)
    summary = json.loads((tmp_path / "workspace/my-study/run_1/summary.json").read_text())
    assert summary["status"] == "finished"
    assert len(summary["rounds"]) == 2
    clipped = json.loads((tmp_path / "workspace/clipped/run_1/summary.json").read_text())
    assert (clipped["status"], len(clipped["rounds"])) == ("finished", 1)
