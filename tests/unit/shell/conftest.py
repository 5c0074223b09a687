# SPDX-License-Identifier: Apache-2.0
"""A run's folder with a secret beside it, and a way to say commands in it."""

import os
from pathlib import Path

import pytest

from mmar_runner.shell.command import USAGES, shell_command

SECRET = "what lies outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of a run; what commands must not show lies beside it."""
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "x.key").write_text(SECRET)
    (startup / "notes.txt").write_text(SECRET)
    run = tmp_path / "run_7"
    (run / "logs" / "deep").mkdir(parents=True)
    (run / "logs" / "server.log").write_text("one\ntwo\nthree\n")
    (run / "logs" / "deep" / "inner.txt").write_text("inner\n")
    (run / "summary.json").write_text('{"status": "finished"}\n')
    (run / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    (run / ".hidden").write_text("hidden\n")
    for number, name in enumerate((".hidden", "summary.json", "model.safetensors", "logs")):
        os.utime(run / name, (2_000_000_000 - number, 1_000_000_000 + number))
    return run


@pytest.fixture
def say(root: Path):
    """Return a function that says a command and returns its text."""

    def said(*words: str) -> str:
        return shell_command(words, root, USAGES).text

    return said
