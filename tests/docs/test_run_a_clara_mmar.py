# SPDX-License-Identifier: Apache-2.0
"""The page about an archive of Clara Train, followed to the letter."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "run-a-clara-mmar.md"
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return the folder in which somebody followed the page, and what each script said."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "mmars").symlink_to(ROOT / "mmars")
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = {}
    for script in FENCE.findall(PAGE.read_text()):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**os.environ, "PATH": beside},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        said[script.split()[0] + " " + script.split()[1]] = done.stdout + done.stderr
    return folder, said


def test_the_archive_has_no_error(followed):
    assert "archive: valid" in followed[1]["mmar-runner validate-mmar"]


def test_it_trains(followed):
    summary = json.loads((followed[0] / "workspace/run_1/summary.json").read_text())
    assert summary["status"] == "finished"
    assert all("val_mean_dice" in entry["metrics"] for entry in summary["rounds"])


def test_every_site_measures_every_model(followed):
    folder, said = followed
    rows = list(
        csv.DictReader((folder / "workspace/run_1/cross_site_validation/matrix.csv").open())
    )
    assert {tuple(row.values())[:2] for row in rows} >= {("site-1", "site-2"), ("site-2", "site-1")}
    assert "val_mean_dice" in said["cat workspace/clients/site-1/run_1/trainer/eval/metrics.csv"]


def test_what_torch_reads_is_where_the_page_says(followed):
    assert (followed[0] / "workspace/run_1/models/final_model.pt").is_file()
