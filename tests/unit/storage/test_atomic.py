# SPDX-License-Identifier: Apache-2.0
"""Old bytes or new ones, never a mixture."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from mmar_runner.errors import DiskFullError, StorageError
from mmar_runner.storage.atomic import (
    translated,
    write_bytes_atomic,
    write_json_atomic,
    write_new,
)
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


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    old = os.umask(0o022)
    yield os.umask
    os.umask(old)


@pytest.mark.parametrize("write", [write_bytes_atomic, partial(write_new, mode=0o600)])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "pipe"])
def test_what_was_planted_for_the_temporary_file_is_never_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, write: Callable[..., object]
) -> None:
    """Not even by who guessed its name."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    victim, planted = tmp_path / "victim", tmp_path / ".a.guessed.tmp"
    victim.write_bytes(b"precious and long")
    plant = {
        "symlink": lambda: planted.symlink_to(victim),
        "dangling": lambda: planted.symlink_to(tmp_path / "made"),
        "hard link": lambda: planted.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(planted),
    }
    plant[kind]()
    with pytest.raises(StorageError, match="/a: "):
        write(tmp_path / "a", b"new")

    assert victim.read_bytes() == b"precious and long"
    assert {path.name for path in tmp_path.iterdir()} == {planted.name, "victim"}


def test_two_who_write_one_file_at_once_both_write_it_whole(tmp_path: Path) -> None:
    contents = [bytes([65 + index]) * 50_000 for index in range(4)]

    def write(content: bytes) -> None:
        for _ in range(50):
            write_bytes_atomic(tmp_path / "a", content)
            assert (tmp_path / "a").read_bytes() in contents

    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(write, contents))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_written_new_replaces_nothing(tmp_path: Path) -> None:
    assert write_new(tmp_path / "a", b"first", mode=0o600)
    assert not write_new(tmp_path / "a", b"second", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("write", [write_bytes_atomic, write_new])
@pytest.mark.parametrize("mask", [0o000, 0o077, 0o277], ids=oct)
def test_a_mode_that_was_asked_for_is_given_whatever_the_umask(
    tmp_path: Path, umask: Callable[[int], int], mask: int, write: Callable[..., object]
) -> None:
    umask(mask)
    write(tmp_path / "a", b"new", mode=0o640)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_link_with_the_files_own_name_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    write_bytes_atomic(tmp_path / "a", b"new")

    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "a").is_symlink()


def test_a_folder_with_the_files_name_is_named_in_the_error_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match="/a: "):
        write_bytes_atomic(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077], ids=oct)
def test_nobody_else_can_write_whatever_the_umask(
    tmp_path: Path, umask: Callable[[int], int], mask: int
) -> None:
    umask(mask)
    write_bytes_atomic(tmp_path / "a", b"new")

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644 & ~mask
