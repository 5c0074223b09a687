# SPDX-License-Identifier: Apache-2.0
"""The page about CI: its commands work, its YAML holds what the programs expect."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "check-mmars-in-ci.md"
FENCES = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SCRIPTS = [text for language, text in FENCES if language == "sh"]
WORKFLOW, WHEELS, HOOKS = (yaml.safe_load(text) for language, text in FENCES if language == "yaml")


def run(script, folder):
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": beside},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path):
    """Return a repository with two MMARs."""
    for name in ("echo", "breast_cancer"):
        shutil.copytree(ROOT / "mmars" / name, tmp_path / "mmars" / name)
    return tmp_path


@pytest.fixture
def broken(checkout):
    """Return a repository in which one of the MMARs has a mistake."""
    train = checkout / "mmars/breast_cancer/config/config_train.json"
    train.write_text(train.read_text().replace('"momentum"', '"momentun"'))
    return checkout


def steps():
    return [s["run"] for s in WORKFLOW["jobs"]["validate"]["steps"] if "mmar-runner" in str(s)]


def tried(script, folder):
    """Have pip see what it would install; what is there already comes from nowhere."""
    options = "--dry-run --quiet --no-deps --no-index --no-build-isolation"
    return run(script.replace("pip install", f"python -m pip install {options}"), folder)


def test_the_workflow_installs_the_program_beside_the_mmars(checkout):
    """It was told for this repository alone, and every other holds MMARs only."""
    (second,) = (s["with"] for s in WORKFLOW["jobs"]["validate"]["steps"] if "path" in str(s))
    (checkout / second["path"]).symlink_to(ROOT)
    (install,) = (s["run"] for s in WORKFLOW["jobs"]["validate"]["steps"] if "pip" in str(s))
    done = tried(install, checkout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_wheels_stand_in_for_the_second_checkout(checkout):
    wheels = checkout / "wheels"
    for project in (ROOT, *ROOT.glob("plugins/*/*/pyproject.toml")):
        folder = project if project.is_dir() else project.parent
        build = f"python -m build --wheel --no-isolation --outdir {wheels} {folder}"  # as make does
        assert run(build, checkout).returncode == 0
    shutil.copy(ROOT / "constraints.txt", wheels)
    done = tried(WHEELS[0]["run"], checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("mmar-runner validate-mmar mmars/*", checkout).returncode == 0


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_work(script, checkout):
    if "jq" in script and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    done = run(script, checkout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_fails_for_a_mistake_and_says_where(broken):
    annotate, scan = steps()
    done = run(annotate, broken)
    assert done.returncode == 1
    assert "::error file=mmars/breast_cancer/config/config_train.json," in done.stdout
    assert run(scan, broken).returncode == 0
    results = json.loads((broken / "mmars.sarif").read_text())["runs"][0]["results"]
    place = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "mmars/breast_cancer/config/config_train.json"


def test_the_workflow_passes_without_one(checkout):
    assert [run(step, checkout).returncode for step in steps()] == [0, 0]


def test_the_hook_stops_a_mistake_alone(checkout):
    (hook,) = HOOKS["repos"][0]["hooks"]
    assert run(hook["entry"], checkout).returncode == 0
    train = checkout / "mmars/breast_cancer/config/config_train.json"
    train.write_text(train.read_text().replace('"momentum"', '"momentun"'))
    assert run(hook["entry"], checkout).returncode != 0
