# SPDX-License-Identifier: Apache-2.0
"""The program works from its wheels, far from the repository."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for project in PROJECTS:
        run(
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder),
            project,
        )
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheels, tmp_path_factory):
    """Install the wheels into an environment of their own and return its program.

    Third-party packages are those of the environment that runs this test: torch alone
    would take minutes. They are put behind the installed wheels on the path, and the
    editable installations of this repository are left out.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", *wheels)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    # A line that is a path is only a path: the .pth files inside it are not read, and
    # those are what makes editable installations importable.
    others = Path(packages.strip()) / "third_party.pth"
    others.write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "mmar-runner"


def run(*command, cwd=None):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_project_gives_a_wheel(wheels):
    assert len(wheels) == len(PROJECTS)


def test_the_core_holds_its_data_and_nothing_else(wheels):
    [core] = [wheel for wheel in wheels if wheel.name.startswith("mmar_runner-")]
    with zipfile.ZipFile(core) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"mmar_runner", core.name.split("-py3")[0] + ".dist-info"}
    schemas = {path.name for path in (ROOT / "schemas").glob("*.json")}
    packed = {Path(name).name for name in names if name.startswith("mmar_runner/_data/schemas/")}
    assert packed == schemas
    assert {"mmar_runner/_data/report/page.html", "mmar_runner/_data/report/style.css"} <= set(
        names
    )
    assert "mmar_runner/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_program_is_the_wheels(program, tmp_path):
    where = run(
        *(program.with_name("python"), "-c"),
        "import mmar_runner, mmar_runner_fedavg as p; print(mmar_runner.__file__, p.__file__)",
        cwd=tmp_path,
    )
    for file in where.split():
        assert Path(file).is_relative_to(program.parents[1])


def test_samples_are_valid(program, tmp_path):
    samples = sorted((ROOT / "mmars").iterdir())
    reports = run(program, "validate-mmar", "--json", *samples, cwd=tmp_path)
    assert [report["deployable"] for report in json.loads(reports)] == [True] * len(samples)


def test_a_schema_is_found(program, tmp_path):
    schema = json.loads(run(program, "schema", "summary", cwd=tmp_path))
    assert schema["$schema"].endswith("2020-12/schema")


def test_plugins_are_found_whole(program, tmp_path):
    run(program, "plugins", "doctor", cwd=tmp_path)


def test_a_federation_runs(program, tmp_path):
    run(
        *(program, "simulate", ROOT / "mmars" / "echo", "--clients", "2", "--rounds", "2"),
        *("--set", "MODEL_MB=0.01", "--workspace", tmp_path / "w"),
        cwd=tmp_path,
    )
    summary = json.loads((tmp_path / "w" / "run_1" / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert len(summary["rounds"]) == 2
    run(program, "report", tmp_path / "w", cwd=tmp_path)
    assert (tmp_path / "w" / "run_1" / "report.html").read_text().startswith("<!doctype html>")
