# SPDX-License-Identifier: Apache-2.0
"""No program is ever started: the system's own word for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TRACED = "trace=execve,execveat,fork,vfork,clone,clone3"
SAID = """
import sys
from pathlib import Path
from mmar_runner.errors import MmarRunnerError
from mmar_runner.shell.command import USAGES, shell_command

evil = ("; id", "$(id)", "`id`", "x\\nid", "| id", "&& id", "\\u2003id", "*", "~", "$HOME")
calls = [["pwd"], ["env"], ["ls", "-laR"], ["cat", "-nsT", "summary.json"]]
calls += [["head", "-n1", "summary.json"], ["tail", "-c3", "summary.json"]]
calls += [["grep", "-inb", "s", "summary.json"], ["grep", "-f", "summary.json", "x"]]
calls += [[name, word] for name in USAGES for word in evil]
calls += [["grep", word, "summary.json"] for word in evil]
calls += [[f"{name}{word}", "logs"] for name in USAGES for word in evil]
done = 0
for words in calls:
    try:
        shell_command(words, Path(sys.argv[1]), USAGES)
        done += 1
    except MmarRunnerError:
        pass
print(done)
"""


@pytest.fixture
def traced(root, tmp_path):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "execve.log"
    done = subprocess.run(
        [strace, "-f", "-e", TRACED, "-o", log, sys.executable, "-c", SAID, root],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip(f"strace may not look: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return int(done.stdout), log.read_text().splitlines()


@pytest.mark.timeout(180)
def test_every_command_and_attack_starts_nothing(traced):
    done, log = traced
    calls = [line for line in log if "(" in line and "+++" not in line]
    assert done > 15, "commands were carried out"
    assert len(calls) == 1, "the interpreter itself, and nothing after it"
    assert "execve(" in calls[0]
