# SPDX-License-Identifier: Apache-2.0
"""A project's kits, and an MMAR that its lead signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import StartupKit
from mmar_runner.testing.kits import Kits
from tests.unit.client.package.deployed import kit_of, signed


@pytest.fixture(scope="module")
def plugins() -> LoadedPlugins:
    return load_plugins()


@pytest.fixture
def site(kits: Kits, tmp_path: Path) -> StartupKit:
    """A kit that remembers nothing of other tests."""
    copy = tmp_path / "site-1"
    copy.mkdir()
    for path in kits.client("site-1").iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
            (copy / path.name).chmod(path.stat().st_mode & 0o777)
    return kit_of(copy, Role.CLIENT)


@pytest.fixture
def root(tmp_path: Path, kits: Kits) -> Iterator[Path]:
    (tmp_path / "mmars").mkdir()
    return signed(tmp_path / "mmars", kits)
