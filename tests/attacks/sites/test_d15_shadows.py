# SPDX-License-Identifier: Apache-2.0
"""D15: no file of an MMAR or of the current folder stands in for an installed module."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec

SHADOWS = (
    "json.py",
    "sitecustomize.py",
    "usercustomize.py",
    "mmar_runner/__init__.py",
    "numpy/__init__.py",
)
#: Asks for what is installed: an ``import`` statement in here would mean its neighbours.
TRAINER = """
import sys
modules = sys.modules["mmar_runner.interfaces.client_trainer"]

class Honest(modules.ClientTrainer):
    def setup(self, context):
        pass

    def train(self, task):
        names = ("json", "numpy", "mmar_runner")
        load = sys.modules["importlib"].import_module
        found = [load(name).__file__ for name in names] + sys.path
        with open(task.update, "w") as file:
            file.write(sys.modules["json"].dumps(found))
        return modules.TrainResult(num_samples=1.0)
"""


def planted(folder: Path) -> Path:
    """Fill a folder with files that would make a canary; return the canary."""
    canary = folder.parent / "canary"
    touch = f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n"
    for name in SHADOWS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(touch)
    (folder / "mmar_runner" / "__main__.py").write_text(touch)
    (folder / "evil.pth").write_text(touch)
    return canary


def trained(folder: Path, workspace: Path) -> list[str]:
    """Train once with a site's accepted code; return where the child found its modules."""
    (folder / "honest.py").write_text(TRAINER)
    context = ChildContext("site-1", mmar=str(folder.parent), workspace=str(workspace))
    spec = ChildSpec(
        role="client_trainer",
        component={"path": "honest.Honest"},
        context=context,
        custom_dir=str(folder),
    )
    task = {"run_number": 1, "round": 0, "num_rounds": 2, "seed": 7}
    paths = {name: str(workspace / name) for name in ("model", "update", "state", "new_state")}

    async def train() -> None:
        child = await ChildProcess.start(spec, log=workspace / "log")
        try:
            await child.request("train", {**task, **paths})
        finally:
            await child.close()

    asyncio.run(train())
    return list(json.loads(Path(paths["update"]).read_text()))


def test_d15_accepted_code_shadows_no_installed_module_of_its_child(tmp_path):
    custom, workspace = tmp_path / "custom", tmp_path / "ws"
    workspace.mkdir()
    canary = planted(custom)
    found = trained(custom, workspace)
    assert not [path for path in found if path.startswith(str(custom))]
    assert not canary.exists()


def test_d15_a_child_imports_nothing_from_the_folder_it_works_in(tmp_path):
    custom, workspace = tmp_path / "custom", tmp_path / "ws"
    custom.mkdir()
    canary = planted(workspace)
    found = trained(custom, workspace)
    assert not [path for path in found if path in {"", str(workspace)}]
    assert not canary.exists()


@pytest.mark.parametrize("path", [".", "", "relative", "{installed}:", ":{installed}"])
def test_d15_no_relative_entry_of_pythonpath_leads_a_child_into_its_workspace(
    tmp_path, monkeypatch, path
):
    custom, workspace = tmp_path / "custom", tmp_path / "ws"
    custom.mkdir()
    canary = planted(workspace)
    planted(workspace / "relative")
    installed = str(tmp_path / "installed")
    monkeypatch.setenv("PYTHONPATH", path.format(installed=installed))
    found = trained(custom, workspace)
    assert not [each for each in found if each.startswith(str(workspace)) or each == ""]
    assert (installed in found) == ("{installed}" in path)
    assert not canary.exists()


def started(hostile: Path, *command: str) -> SimpleNamespace:
    done = subprocess.run(
        [*command, "--version"],
        cwd=hostile,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.parametrize(
    "command",
    [
        (str(Path(sys.executable).with_name("mmar-runner")),),
        (sys.executable, "-P", "-m", "mmar_runner"),
    ],
    ids=["script", "safe-module"],
)
def test_d15_the_program_imports_nothing_from_a_hostile_current_folder(tmp_path, command):
    hostile = tmp_path / "mmar"
    canary = planted(hostile)
    ended = started(hostile, *command)
    assert (ended.code, canary.exists()) == (0, False), ended.err
    assert "mmar" in ended.out


def test_d15_as_a_module_it_takes_nothing_else_from_the_current_folder(tmp_path):
    """What ``python -m`` finds first is Python's own choice; the rest is the program's."""
    hostile = tmp_path / "mmar"
    canary = planted(hostile)
    for name in ("__main__.py", "__init__.py"):
        (hostile / "mmar_runner" / name).unlink()
    (hostile / "mmar_runner").rmdir()
    ended = started(hostile, sys.executable, "-m", "mmar_runner")
    assert (ended.code, canary.exists()) == (0, False), ended.err


def test_d15_without_a_guard_such_a_folder_does_stand_in(tmp_path):
    hostile = tmp_path / "mmar"
    canary = planted(hostile)
    subprocess.run([sys.executable, "-c", "import json"], cwd=hostile, check=True, timeout=40)
    assert canary.exists()
