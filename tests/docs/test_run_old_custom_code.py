# SPDX-License-Identifier: Apache-2.0
"""The page about older code, followed to the letter; and the page of what it can import."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmar_runner_clara_code.reference import page

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "how-to" / "run-old-custom-code.md"
FENCE = re.compile(r"^```(\w+)(?: (\w+)=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(script, folder):
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": beside},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def merge(file, text):
    """Put the members of an object into a file's, at any depth."""

    def merged(old, new):
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return new
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}

    file.write_text(json.dumps(merged(json.loads(file.read_text()), json.loads(text))))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_page_works(tmp_path):
    said = {}
    for language, action, path, text in FENCE.findall(PAGE.read_text()):
        if action == "write":
            (tmp_path / path).write_text(text)
        elif action == "merge":
            merge(tmp_path / path, text)
        else:
            assert language == "sh"
            said[text] = run(text, tmp_path)
    assert said["mmar-runner validate-mmar study\n"].count("MMAR530") == 2
    summary = json.loads((tmp_path / "workspace/study/run_1/summary.json").read_text())
    assert (summary["status"], len(summary["rounds"])) == ("finished", 1)


def test_the_page_of_names_is_what_the_table_says():
    assert (DOCS / "reference" / "older-code.md").read_text() == page(), (
        "write it anew: python -m mmar_runner_clara_code.reference > docs/reference/older-code.md"
    )
