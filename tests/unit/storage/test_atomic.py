# SPDX-License-Identifier: Apache-2.0
"""Old bytes or new ones, never a mixture."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from mmar_runner.errors import DiskFullError, StorageError
from mmar_runner.storage.atomic import translated, write_bytes_atomic, write_json_atomic
from mmar_runner.storage.memory import peak_rss_bytes


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.json"
    write_bytes_atomic(path, b"old")
    write_json_atomic(path, {"a": [1]}, durable)
    assert json.loads(path.read_text()) == {"a": [1]}
    assert path.read_bytes().endswith(b"\n")
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomic(tmp_path / "a", float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (errno.ENOSPC, DiskFullError, "DISK_FULL"),
        (errno.EDQUOT, DiskFullError, "DISK_FULL"),
        (errno.EROFS, StorageError, "STORAGE"),
    ],
)
def test_a_refusal_leaves_the_old_file_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StorageError],
    reason: str,
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(kind) as caught:
        write_bytes_atomic(path, b"new")
    assert caught.value.reason == reason
    assert str(path) in caught.value.message
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        write_bytes_atomic(tmp_path / "nowhere" / "a", b"")


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    write_bytes_atomic(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_what_is_no_os_error_passes(tmp_path: Path) -> None:
    with pytest.raises(KeyError), translated(tmp_path):
        raise KeyError


def test_peak_memory_is_told_in_bytes() -> None:
    peak = peak_rss_bytes()
    assert peak is not None
    assert 5_000_000 < peak < 64 << 30
    assert peak_rss_bytes(os.getpid()) == pytest.approx(peak, rel=0.1)
    assert peak_rss_bytes(2**22 + 1) is None
