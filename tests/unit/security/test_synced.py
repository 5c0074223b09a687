# SPDX-License-Identifier: Apache-2.0
"""What a site says or has accepted is on its disk, not in a buffer, before it counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmar_runner.security.policy.edit import record_digest
from mmar_runner.security.signatures.context import SeenVersion
from mmar_runner.security.signatures.version_memory import VersionMemory


@pytest.fixture
def synced(monkeypatch):
    """Names of files and folders that were synced, as they were called at that moment."""
    names: list[str] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return names


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("what", ["site_policy.json", "versions.json"])
def test_file_and_name_are_synced(tmp_path, synced, what):
    path = tmp_path / "site" / what
    path.parent.mkdir()
    if what == "site_policy.json":
        record_digest(path, "1" * 64, "block")
    else:
        VersionMemory(path).remember("demo", "spleen", SeenVersion(3, "a"))
    assert path.exists()
    assert any(what in name for name in synced)
    assert synced[-1] == "site"
