# SPDX-License-Identifier: Apache-2.0
"""Started in a folder that somebody else filled, the program imports nothing of it."""

import subprocess
import sys
from pathlib import Path

import pytest

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
NAMES = ("json", "sitecustomize", "usercustomize", "click", "numpy", "random", "safetensors")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "download"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'a').close()\n")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate-mmar", str(ECHO)),
        ("simulate", str(ECHO), "--clients", "2", "--rounds", "1", "--set", "MODEL_MB=0.01"),
    ],
    ids=["validate", "simulate"],
)
def test_d15_a_hostile_current_folder_shadows_nothing(
    tmp_path: Path, hostile: Path, arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmar_runner", *arguments],
        cwd=hostile,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()


def test_d15_the_canary_does_sing(tmp_path: Path, hostile: Path) -> None:
    subprocess.run([sys.executable, "-c", "import json"], cwd=hostile, timeout=60, check=False)
    assert (tmp_path / "canary").exists()
