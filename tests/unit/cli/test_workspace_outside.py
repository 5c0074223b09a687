# SPDX-License-Identifier: Apache-2.0
"""Whoever starts in the MMAR's own folder is told where else: a run must not become part of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmar_runner.cli.main import main

ECHO = Path(__file__).parents[3] / "mmars" / "echo"


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", ".", "--clients", "1"),
        ("run-server", ".", "--insecure"),
        ("run-client", ".", "--insecure", "--name", "site-1"),
        ("run-combiner", ".", "--insecure", "--name", "east", "--parent", "127.0.0.1:1"),
        ("simulate", "../echo", "--clients", "1", "--workspace", "config/runs"),
        ("simulate", ".", "--clients", "1", "--workspace", "."),
    ],
)
def test_a_workspace_inside_the_mmar_is_refused(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mmar = shutil.copytree(ECHO, tmp_path / "echo")
    before = sorted(mmar.rglob("*"))
    monkeypatch.chdir(mmar)
    with pytest.raises(SystemExit) as ended:
        main(list(command))
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "lies inside the MMAR" in said
    assert "--workspace" in said
    assert sorted(mmar.rglob("*")) == before


def test_a_workspace_beside_the_mmar_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ECHO, tmp_path / "echo")
    monkeypatch.chdir(tmp_path)
    command = ["simulate", "echo", "--clients", "1", "--rounds", "1", "--set", "MODEL_MB=0.01"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--workspace", "echo-runs"])
    assert not ended.value.code
    assert (tmp_path / "echo-runs" / "run_1" / "summary.json").exists()
