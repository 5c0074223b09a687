# SPDX-License-Identifier: Apache-2.0
"""The page about upgrading: its commands work as they stand, and leave what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "upgrade-an-mmar.md"
SCRIPTS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return a folder in which every command of the page was given, and what they wrote."""
    folder = tmp_path_factory.mktemp("upgrade")
    shutil.copytree(ROOT / "tests" / "assets" / "mmars" / "older", folder / "older")
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = []
    for script in SCRIPTS:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**os.environ, "PATH": beside},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told.append(done.stdout)
    return folder, told


def codes(file, severity):
    findings = json.loads(file.read_text())["findings"]
    return {finding["code"] for finding in findings if finding["severity"] == severity}


def test_what_was_a_note_is_written_down(followed):
    folder, told = followed
    assert {"MMAR210", "MMAR211", "MMAR212", "MMAR515"} <= codes(folder / "before.json", "note")
    assert not {c for c in codes(folder / "after.json", "note") if c[:6] == "MMAR21"}
    assert "'pre_processors' is now 'outbound_filters'." in told[1]
    assert "To be decided by somebody" in told[1]


def test_what_remains_stands_in_the_table_of_the_page(followed):
    remaining = codes(followed[0] / "after.json", "error")
    assert remaining
    assert remaining <= set(re.findall(r"\[(MMAR\d+)\]", PAGE.read_text()))


def test_the_older_archive_is_as_it_was(followed):
    assets = ROOT / "tests" / "assets" / "mmars" / "older"
    for path in (path for path in assets.rglob("*") if path.is_file()):
        assert (followed[0] / "older" / path.relative_to(assets)).read_bytes() == path.read_bytes()
