# SPDX-License-Identifier: Apache-2.0
"""What a site says or has accepted is on its disk, not in a buffer, before it counts."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mmar_runner.security.pki.issuing import make_root
from mmar_runner.security.pki.keys import new_tls_key
from mmar_runner.security.pki.revocation import (
    RevocationList,
    RevocationMemory,
    sign_revocations,
)
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


def newer_list(folder, state):
    """Let a site hear of a newer list than the one in its kit."""
    key, now = new_tls_key(), datetime.now(UTC)
    root = make_root(key, "lungs", now, timedelta(days=10))
    first = RevocationList("lungs", 1, now, now + timedelta(days=9), (), (), ())
    (folder / "kit.json").write_bytes(sign_revocations(first, key))
    memory = RevocationMemory(folder / "kit.json", state, root)
    assert memory.offer(sign_revocations(replace(first, version=2), key))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("what", ["site_policy.json", "versions.json", "revocations.json"])
def test_file_and_name_are_synced(tmp_path, synced, what):
    path = tmp_path / "site" / what
    path.parent.mkdir()
    if what == "site_policy.json":
        record_digest(path, "1" * 64, "block")
    elif what == "revocations.json":
        newer_list(tmp_path, path.parent)
    else:
        VersionMemory(path).remember("demo", "spleen", SeenVersion(3, "a"))
    assert path.exists()
    assert any(what in name for name in synced)
    assert synced[-1] == "site"
