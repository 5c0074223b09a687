# SPDX-License-Identifier: Apache-2.0
"""The page about MONAI bundles, followed to the letter in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "federate-a-monai-bundle.md"
FENCE = re.compile(r"^```(\w+)(?: (\w+)(?:=(\S+))?)?\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Reader:
    """Somebody who has this page, a terminal and an empty folder."""

    def __init__(self, folder):
        self.folder = folder
        self.said = {}

    def run(self, script, *, refused=False):
        beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**os.environ, "PATH": beside},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == refused, f"{script}\n{done.stdout}\n{done.stderr}"
        self.said[script] = done.stdout + done.stderr

    def merge(self, path, text):
        file = self.folder / path
        file.write_text(json.dumps({**json.loads(file.read_text()), **json.loads(text)}))


def summary(folder, name, number=1):
    return json.loads((folder / f"workspace/{name}/run_{number}/summary.json").read_text())


def test_the_page_works(tmp_path):
    reader = Reader(tmp_path)
    for language, action, path, text in FENCE.findall(PAGE.read_text()):
        if language == "sh":
            for line in text.splitlines():
                reader.run(line, refused=action == "refused")
        elif action == "write":
            (tmp_path / path).write_text(text)
        elif action == "merge":
            reader.merge(path, text)
        else:
            raise AssertionError(f"nobody tries this block: {language} {text}")
    dice = [one["metrics"]["val_mean_dice"] for one in summary(tmp_path, "study")["rounds"]]
    assert len(dice) == 3
    assert dice[-1] > dice[0]
    assert summary(tmp_path, "asking")["status"] == "finished"
    assert summary(tmp_path, "study", 2)["status"] == "finished"
    said = reader.said["mmar-runner import-bundle discs --out asking"]
    assert re.findall(r"train\.json:\d+ (\S+): \$", said) == [
        "/device",
        "/optimizer/params",
        "/imports/0",
    ]
    refused = reader.said["mmar-runner validate-mmar asking --policy site_policy.json"]
    assert refused.count("MMAR709") == 3
    assert "expressions: none" in reader.said["mmar-runner import-bundle discs --out study"]
