# SPDX-License-Identifier: Apache-2.0
"""The kits of a small project, made once; every test has a copy that it may spoil."""

from __future__ import annotations

import shutil

import pytest

from mmar_runner.testing.kits import Kits, make_kits


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder, clients = tmp_path_factory.mktemp("demo"), ("site-1", "site-2")
    return make_kits(folder, combiners=("east",), clients=clients)


@pytest.fixture
def kits(made, tmp_path):
    shutil.copytree(made.out.parent, tmp_path / "p")
    return Kits(tmp_path / "p" / "project.yml", tmp_path / "p" / "kits")
