# SPDX-License-Identifier: Apache-2.0
"""The command line in a project that was provisioned."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.signatures.projects import ROOT, Cli, Project


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("heart"))


@pytest.fixture
def cli(provisioned, tmp_path, capsys):
    kits = tmp_path / "kits"
    shutil.copytree(provisioned.folder, kits)
    project = Project.__new__(Project)
    project.__dict__.update(provisioned.__dict__, folder=kits)
    mmar = tmp_path / "echo"
    shutil.copytree(ROOT / "mmars" / "echo", mmar, ignore=shutil.ignore_patterns("__pycache__"))
    (mmar / "models").mkdir(exist_ok=True)
    (mmar / "models" / "start.safetensors").write_bytes(b"\x00" * 64)
    (mmar / ".gitkeep").write_text("")
    return Cli(project, capsys, mmar)
