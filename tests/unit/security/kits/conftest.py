# SPDX-License-Identifier: Apache-2.0
"""Kits that a test may spoil."""

from __future__ import annotations

import shutil

import pytest

from mmar_runner.testing.kits import Kits, make_kits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_kits(tmp_path_factory.mktemp("lungs"), clients=("site-1", "site-2"))


@pytest.fixture
def kits(made, tmp_path):
    """Return kits that a test may spoil."""
    shutil.copytree(made.out.parent, tmp_path / "p")
    return Kits(tmp_path / "p" / "project.yml", tmp_path / "p" / "kits")
